--TEST--
sse.adopt: a session is not let go where it can't be told later what the script has changed
--INI--
sse.namespace=adopt_session_kept
sse.udp=
sse.idle_exit=5
sse.adopt=1
session.use_cookies=0
disable_functions=serialize
--FILE--
<?php
session_set_save_handler(new class implements SessionHandlerInterface {
    public function open(string $path, string $name): bool { return true; }
    public function close(): bool { return true; }
    public function read(string $id): string { return ''; }
    public function write(string $id, string $data): bool { fwrite(STDOUT, "written: $data\n"); return true; }
    public function destroy(string $id): bool { return true; }
    public function gc(int $lifetime): int { return 0; }
    public function create_sid(): string { return 'made'; }
    public function validateId(string $id): bool { return true; }
});
header('Content-Type: text/event-stream');
session_start();
$_SESSION['before'] = 1;
echo "data: x\n\n";
sleep(0);
$_SESSION['after'] = 2;
?>
--EXPECT--
data: x

written: before|i:1;after|i:2;
