# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#
# Common to the folders with test programs. The folder's Makefile sets PROG and
# SRCS (its own C files), then includes this. `make OUT=DIR` makes DIR/bin/PROG.

TOP	:= $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
OUT	?= $(TOP)/build
OBJ	:= $(OUT)/o/$(PROG)
CFLAGS	+= -std=gnu11 -O2 -g -Wall -Wextra -Werror -I$(TOP)/tests/lib -I$(TOP)/include
LDLIBS	+= -libverbs -lpthread
LIB	:= harness.c rc.c datagram.c swap.c uffd.c
# in a folder of their own: a file can move between the two
OBJS	:= $(addprefix $(OBJ)/,$(SRCS:.c=.o) $(LIB:%.c=lib/%.o))

all: $(OUT)/bin/$(PROG)

$(OUT)/bin/$(PROG): $(OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/lib/%.o: $(TOP)/tests/lib/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

clean:
	rm -rf $(OBJ) $(OUT)/bin/$(PROG)

.PHONY: all clean

-include $(OBJS:.o=.d)
