--TEST--
sse.adopt: user code that runs at the first sleep, or for a sleep's argument, may throw
--INI--
sse.namespace=adopt_user_code
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
header('Content-Type: text/event-stream');
session_set_save_handler(new class implements SessionHandlerInterface {
    public function open(string $path, string $name): bool { return true; }
    public function close(): bool { return true; }
    public function read(string $id): string { return ''; }
    public function write(string $id, string $data): bool { throw new RuntimeException('from the session'); }
    public function destroy(string $id): bool { return true; }
    public function gc(int $lifetime): int { return 0; }
    public function create_sid(): string { return 'made'; }
    public function validateId(string $id): bool { return true; }
}, false);
session_start();
$_SESSION['n'] = 1;
echo "what it sends\n";
try {
    sleep(60);
} catch (RuntimeException $exception) {
    echo $exception->getMessage(), "\n";
}
flush();
set_error_handler(fn (int $level, string $message) => throw new ErrorException($message));
try {
    usleep(1.5);
} catch (ErrorException $exception) {
    echo $exception->getMessage(), "\n";
}
SseTrigger::push('any.topic');
echo sleep(60), "\n";
register_shutdown_function(function () { echo "shutdown\n"; sleep(0); flush(); });
exit("the end\n");
?>
--EXPECT--
what it sends
from the session
Implicit conversion from float 1.5 to int loses precision
0
the end
shutdown
