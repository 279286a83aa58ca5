/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * The vhost-user wire format: https://qemu-project.gitlab.io/qemu/interop/vhost-user.html, sections
 * "Message Specification" and "Front-end message types". Little endian hosts only, as the protocol
 * is in host order and virtio 1.0 rings are little endian.
 */
#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#    error "vhost-user here is for little endian hosts"
#endif

/* Front end to back end. */
typedef enum {
    VU_GET_FEATURES = 1,
    VU_SET_FEATURES = 2,
    VU_SET_OWNER = 3,
    VU_RESET_OWNER = 4,
    VU_SET_MEM_TABLE = 5,
    VU_SET_LOG_BASE = 6,
    VU_SET_LOG_FD = 7,
    VU_SET_VRING_NUM = 8,
    VU_SET_VRING_ADDR = 9,
    VU_SET_VRING_BASE = 10,
    VU_GET_VRING_BASE = 11,
    VU_SET_VRING_KICK = 12,
    VU_SET_VRING_CALL = 13,
    VU_SET_VRING_ERR = 14,
    VU_GET_PROTOCOL_FEATURES = 15,
    VU_SET_PROTOCOL_FEATURES = 16,
    VU_GET_QUEUE_NUM = 17,
    VU_SET_VRING_ENABLE = 18,
    VU_SEND_RARP = 19,
    VU_NET_SET_MTU = 20,
    VU_SET_BACKEND_REQ_FD = 21,
    VU_IOTLB_MSG = 22,
    VU_SET_VRING_ENDIAN = 23,
    VU_GET_CONFIG = 24,
    VU_SET_CONFIG = 25,
    VU_POSTCOPY_ADVISE = 28,
    VU_POSTCOPY_LISTEN = 29,
    VU_POSTCOPY_END = 30,
    VU_GET_INFLIGHT_FD = 31,
    VU_SET_INFLIGHT_FD = 32,
    VU_GPU_SET_SOCKET = 33,
    VU_RESET_DEVICE = 34,
    VU_GET_MAX_MEM_SLOTS = 36,
    VU_ADD_MEM_REG = 37,
    VU_REM_MEM_REG = 38,
    VU_SET_STATUS = 39,
    VU_GET_STATUS = 40,
} VuRequest;

/* Back end to front end, on the socket of SET_BACKEND_REQ_FD. */
enum { VU_BACKEND_CONFIG_CHANGE_MSG = 2 };

/* Bits of GET_PROTOCOL_FEATURES. */
enum {
    VU_PROTOCOL_F_MQ = 0,
    VU_PROTOCOL_F_LOG_SHMFD = 1,
    VU_PROTOCOL_F_REPLY_ACK = 3,
    VU_PROTOCOL_F_BACKEND_REQ = 5,
    VU_PROTOCOL_F_PAGEFAULT = 8,
    VU_PROTOCOL_F_CONFIG = 9,
    VU_PROTOCOL_F_INFLIGHT_SHMFD = 12,
    VU_PROTOCOL_F_RESET_DEVICE = 13,
    VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
    VU_PROTOCOL_F_STATUS = 16,
    VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT = 20,
};

/* Bits of GET_FEATURES that are vhost's, not virtio's. */
enum {
    VHOST_F_LOG_ALL = 26,
    VHOST_USER_F_PROTOCOL_FEATURES = 30,
};

enum {
    VU_VERSION = 1,
    VU_FLAG_VERSION_MASK = 3,
    VU_FLAG_REPLY = 1 << 2,
    VU_FLAG_NEED_REPLY = 1 << 3,
    VU_MAX_FDS = 8,            /* of one message, by the specification */
    VU_MEM_TABLE_REGIONS = 8,  /* of SET_MEM_TABLE */
    VU_CONFIG_MAX_BYTES = 256, /* of GET_CONFIG and SET_CONFIG */
    VU_VRING_INDEX_MASK = 0xff,
    VU_VRING_NOFD = 1 << 8,
    VU_VRING_LOG_FLAG = 1 << 0, /* of VuVringAddr.flags */
};

typedef struct {
    guint32 request;
    guint32 flags;
    guint32 size; /* of the payload */
} VuHeader;

typedef struct {
    guint32 index;
    guint32 num;
} VuVringState;

typedef struct {
    guint32 index;
    guint32 flags;
    guint64 descriptor; /* ring addresses are of the front end's address space */
    guint64 used;
    guint64 available;
    guint64 log; /* guest address */
} VuVringAddr;

typedef struct {
    guint64 guest_address;
    guint64 size;
    guint64 user_address;
    guint64 mmap_offset;
} VuMemoryRegion;

typedef struct {
    guint32 n_regions;
    guint32 padding;
    VuMemoryRegion regions[VU_MEM_TABLE_REGIONS];
} VuMemoryTable;

typedef struct {
    guint64 padding;
    VuMemoryRegion region;
} VuSingleRegion;

typedef struct {
    guint64 mmap_size;
    guint64 mmap_offset;
} VuLog;

typedef struct {
    guint32 offset;
    guint32 size;
    guint32 flags;
    guint8 data[VU_CONFIG_MAX_BYTES];
} VuConfig;

/* 24 bytes as QEMU, libvhost-user and DPDK send it, with C's padding; the specification's fields
 * add up to 20, which are accepted, too. */
typedef struct {
    guint64 mmap_size;
    guint64 mmap_offset;
    guint16 num_queues;
    guint16 queue_size;
    guint32 padding;
} VuInflight;

enum { VU_INFLIGHT_MIN_BYTES = 20 };

typedef union {
    guint64 u64;
    VuVringState state;
    VuVringAddr address;
    VuMemoryTable memory;
    VuSingleRegion region;
    VuLog log;
    VuConfig config;
    VuInflight inflight;
    guint8 bytes[VU_CONFIG_MAX_BYTES + 12 + 64];
} VuPayload;

typedef struct {
    VuHeader header;
    VuPayload payload;
    int fds[VU_MAX_FDS]; /* owned until taken; -1: none, or taken */
    guint n_fds;
} VuMessage;
