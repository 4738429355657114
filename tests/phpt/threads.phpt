--TEST--
A process with another thread does not fork a hub: PHP's command line starts it
--EXTENSIONS--
ffi
--SKIPIF--
<?php if (getenv('USE_ZEND_ALLOC') === '0') die('skip outside-valgrind: to that, a thread that never ends is a leak'); ?>
--INI--
sse.namespace=threads
sse.udp=
sse.idle_exit=5
ffi.enable=1
--FILE--
<?php
// A thread that only waits, as those of other extensions do.
$libc = FFI::cdef('typedef unsigned long pthread_t; void *dlsym(void *library, const char *name);
    int pthread_create(pthread_t *thread, void *attributes, void *work, void *argument);', 'libc.so.6');
$thread = $libc->new('pthread_t');
$libc->pthread_create(FFI::addr($thread), null, $libc->dlsym(null, 'pause'), null);
echo count(glob('/proc/self/task/*')), " threads\n";

/** Whether the hub is no copy of this process, which has FFI. */
function isStranger(int $pid): bool
{
    $maps = file_get_contents("/proc/$pid/maps");

    return str_contains($maps, 'sse.so') && !str_contains($maps, 'ffi.so');
}
var_dump(strlen(sse_publish('a', 'x')) > 0);
$first = sse_stats()['pid'];
var_dump(isStranger($first));
$upgraded = sse_hub_upgrade();
var_dump($upgraded['pid'] !== $first, isStranger($upgraded['pid']), $upgraded['pid'] === sse_stats()['pid']);
var_dump(sse_stats()['published']);
?>
--EXPECT--
2 threads
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
int(1)
