/*
 * Preloaded before libc: writes down, in the order in which they happened, all changes to files below TRACE_DIR and every
 * fsync of them, with contents. What the program writes to TRACE_ACKS is noted in the same order. The log (TRACE_LOG)
 * lies outside. Record: op, 0, inode, offset, length (little endian: 4 4 8 8 8 bytes), then `length` bytes.
 * With DISK_FAULT the disk also misbehaves: `fsync N` (the N-th fsync fails with EIO), `full N M` (from the N-th write on,
 * M writes fail with ENOSPC), `short N` (every N-th write is cut short, every 3N-th interrupted).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, FSYNC, RENAME, UNLINK, ACK, FSYNC_DIR };
enum { NOT_OURS, FILE_OURS, DIR_OURS, ACKS };
#define MAX_FD 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char kind[MAX_FD];
static uint64_t inode[MAX_FD];
static int log_fd = -1;
static const char *dir, *acks;
static size_t dir_length;

/* Counts from the first acknowledgement on, so that faults hit a server that has started. */
static struct { char what[8]; long from, times, syncs, writes; int begun; } fault;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("TRACE_LOG");
  dir = getenv("TRACE_DIR");
  acks = getenv("TRACE_ACKS");
  if (!path || !dir || !acks) return;
  dir_length = strlen(dir);
  const char *wanted = getenv("DISK_FAULT");
  if (wanted) sscanf(wanted, "%7s %ld %ld", fault.what, &fault.from, &fault.times);
  log_fd = syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t length) {
  const char *at = data;
  while (length > 0) {
    long n = syscall(SYS_write, log_fd, at, length);
    if (n <= 0) abort(); /* a trace with a hole proves nothing */
    at += n;
    length -= n;
  }
}

static void note(uint32_t op, uint64_t file, uint64_t offset, const void *data, uint64_t length) {
  struct { uint32_t op, zero; uint64_t file, offset, length; } head = { op, 0, file, offset, length };
  put(&head, sizeof head);
  if (length > 0) put(data, length);
}

static int ours(const char *path) {
  return log_fd >= 0 && path && strncmp(path, dir, dir_length) == 0 && (path[dir_length] == '/' || path[dir_length] == 0);
}

static void opened(int fd, const char *path, int flags) {
  if (fd < 0 || fd >= MAX_FD || log_fd < 0) return;
  kind[fd] = NOT_OURS;
  if (strcmp(path, acks) == 0) {
    kind[fd] = ACKS;
    return;
  }
  struct stat st;
  if (!ours(path) || fstat(fd, &st) != 0) return;
  inode[fd] = st.st_ino;
  kind[fd] = S_ISDIR(st.st_mode) ? DIR_OURS : FILE_OURS;
  if (kind[fd] != FILE_OURS) return;
  note(OPEN, st.st_ino, 0, path + dir_length, strlen(path + dir_length));
  if (flags & O_TRUNC) note(TRUNCATE, st.st_ino, 0, NULL, 0);
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define IS(fd, what) (log_fd >= 0 && (fd) >= 0 && (fd) < MAX_FD && kind[fd] == (what))

#define OPENER(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list list; \
      va_start(list, flags); \
      mode = va_arg(list, mode_t); \
      va_end(list); \
    } \
    pthread_mutex_lock(&lock); \
    int fd = real(path, flags, mode); \
    opened(fd, path, flags); \
    pthread_mutex_unlock(&lock); \
    return fd; \
  }
OPENER(open)
OPENER(open64)

int close(int fd) {
  REAL(int, close, int);
  if (fd >= 0 && fd < MAX_FD) kind[fd] = NOT_OURS;
  return real(fd);
}

/* How many of `length` bytes this write may carry; 0 with errno set when it fails. */
static size_t allowed(size_t length) {
  if (!fault.begun) return length;
  long n = ++fault.writes;
  if (strcmp(fault.what, "full") == 0 && n >= fault.from && n < fault.from + fault.times) {
    errno = ENOSPC;
    return 0;
  }
  if (strcmp(fault.what, "short") == 0 && n % (3 * fault.from) == 0) {
    errno = EINTR;
    return 0;
  }
  if (strcmp(fault.what, "short") == 0 && n % fault.from == 0 && length > 1) return length / 2;
  return length;
}

#define PWRITER(name) \
  ssize_t name(int fd, const void *data, size_t length, off64_t offset) { \
    REAL(ssize_t, name, int, const void *, size_t, off64_t); \
    if (IS(fd, NOT_OURS) || log_fd < 0) return real(fd, data, length, offset); \
    pthread_mutex_lock(&lock); \
    size_t part = IS(fd, FILE_OURS) ? allowed(length) : length; \
    ssize_t n = part > 0 || length == 0 ? real(fd, data, part, offset) : -1; \
    if (n > 0 && IS(fd, FILE_OURS)) note(WRITE, inode[fd], offset, data, n); \
    pthread_mutex_unlock(&lock); \
    return n; \
  }
PWRITER(pwrite)
PWRITER(pwrite64)

static void written(int fd, const void *data, ssize_t n) {
  if (n <= 0) return;
  if (IS(fd, ACKS)) {
    fault.begun = 1;
    note(ACK, 0, 0, data, n);
  } else if (IS(fd, FILE_OURS)) note(WRITE, inode[fd], lseek64(fd, 0, SEEK_CUR) - n, data, n);
}

ssize_t write(int fd, const void *data, size_t length) {
  REAL(ssize_t, write, int, const void *, size_t);
  if (log_fd < 0 || IS(fd, NOT_OURS)) return real(fd, data, length);
  pthread_mutex_lock(&lock);
  ssize_t n = real(fd, data, length);
  written(fd, data, n);
  pthread_mutex_unlock(&lock);
  return n;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  if (log_fd < 0 || IS(fd, NOT_OURS)) return real(fd, parts, count);
  ssize_t all = 0;
  for (int i = 0; i < count; i++) {
    ssize_t n = write(fd, parts[i].iov_base, parts[i].iov_len);
    if (n < 0) return all > 0 ? all : n;
    all += n;
    if ((size_t)n < parts[i].iov_len) break;
  }
  return all;
}

#define TRUNCATER(name) \
  int name(int fd, off64_t size) { \
    REAL(int, name, int, off64_t); \
    pthread_mutex_lock(&lock); \
    int answer = real(fd, size); \
    if (answer == 0 && IS(fd, FILE_OURS)) note(TRUNCATE, inode[fd], size, NULL, 0); \
    pthread_mutex_unlock(&lock); \
    return answer; \
  }
TRUNCATER(ftruncate)
TRUNCATER(ftruncate64)

#define SYNCER(name) \
  int name(int fd) { \
    REAL(int, name, int); \
    pthread_mutex_lock(&lock); \
    int failing = IS(fd, FILE_OURS) && fault.begun && strcmp(fault.what, "fsync") == 0 && ++fault.syncs == fault.from; \
    int answer = failing ? -1 : real(fd); \
    if (failing) errno = EIO; \
    if (answer == 0 && IS(fd, FILE_OURS)) note(FSYNC, inode[fd], 0, NULL, 0); \
    if (answer == 0 && IS(fd, DIR_OURS)) note(FSYNC_DIR, inode[fd], 0, NULL, 0); \
    pthread_mutex_unlock(&lock); \
    return answer; \
  }
SYNCER(fsync)
SYNCER(fdatasync)

int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  pthread_mutex_lock(&lock);
  int answer = real(from, to);
  if (answer == 0 && ours(from) && ours(to)) {
    char both[8192];
    size_t first = strlen(from + dir_length), second = strlen(to + dir_length);
    if (first + second + 1 > sizeof both) abort();
    memcpy(both, from + dir_length, first + 1);
    memcpy(both + first + 1, to + dir_length, second);
    note(RENAME, 0, 0, both, first + 1 + second);
  }
  pthread_mutex_unlock(&lock);
  return answer;
}

int unlink(const char *path) {
  REAL(int, unlink, const char *);
  pthread_mutex_lock(&lock);
  int answer = real(path);
  if (answer == 0 && ours(path)) note(UNLINK, 0, 0, path + dir_length, strlen(path + dir_length));
  pthread_mutex_unlock(&lock);
  return answer;
}
