--TEST--
sse.adopt: a session is written after all shutdown functions and before its handler is destroyed, with any kinds of entries
--INI--
sse.namespace=adopt_session_end
sse.udp=
sse.idle_exit=5
sse.adopt=1
session.use_cookies=0
session.serialize_handler=php_serialize
--FILE--
<?php
final class Handler implements SessionHandlerInterface {
    private string $data = '';
    private int $opened = 0;
    public function open(string $path, string $name): bool {
        if ($this->opened++ > 0) {
            echo "this does not follow the stream\n";
            flush();
        }
        return true;
    }
    public function close(): bool { return true; }
    public function read(string $id): string { return $this->data; }
    public function write(string $id, string $data): bool {
        $this->data = $data;
        fwrite(STDOUT, 'written: ' . json_encode(unserialize($data), JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
        return true;
    }
    public function destroy(string $id): bool { return true; }
    public function gc(int $lifetime): int { return 0; }
    public function create_sid(): string { return 'made'; }
    public function validateId(string $id): bool { return true; }
    public function __destruct() { fwrite(STDOUT, "destroyed\n"); }
}
final class Place {
    public function __construct(public int $number) {}
}
session_set_save_handler(new Handler, false);
session_start();
$referred = 'before';
$_SESSION = ['place' => new Place(1), 'same' => new Place(7), 5 => 'five', "\xff|\0" => 'odd', 'gone' => 1];
$_SESSION['reference'] = &$referred;
header('Content-Type: text/event-stream');
echo "data: 1\n\n";
usleep(1);
register_shutdown_function(function () {
    echo "a shutdown function\n";
    $_SESSION['late'] = true;
});
$referred = 'after';
$_SESSION['place']->number = 2;
$_SESSION[5] = 'five again';
$_SESSION["\xff|\0"] = 'odd again';
unset($_SESSION['gone']);
?>
--EXPECT--
data: 1

written: {"place":{"number":1},"same":{"number":7},"5":"five","\ufffd|\u0000":"odd","gone":1,"reference":"before"}
a shutdown function
written: {"place":{"number":2},"same":{"number":7},"5":"five again","\ufffd|\u0000":"odd again","reference":"after","late":true}
destroyed
