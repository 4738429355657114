<?php

declare(strict_types=1);

// A stream of the file `state`. When it is rendered again it does what the file `mood` says.
$folder = dirname(__DIR__, 2) . '/data';
$mood = sse_render() === null ? '' : (string) @file_get_contents("$folder/mood");
match ($mood) {
    'redirect' => (static function (): never {
        header('Location: /login');
        exit;
    })(),
    'garbage' => (static function (): never {
        echo random_bytes(100_000);
        exit;
    })(),
    default => null,
};
if (isset($_GET['page'])) {
    set_exception_handler(static function () use ($folder): void {
        http_response_code(500);
        echo 'It failed.';
        fastcgi_finish_request(); // as the kernels of Symfony and Laravel do with any page
        wait("$folder/go-on", 'the page of an error is finished');
    });
}
sse_stream($_GET['topic'] ?? 'state', static function () use ($folder, $mood): string {
    match ($mood) {
        'sleep' => sleep(3),
        'memory' => str_repeat('x', 1 << 30),
        'throw' => throw new DomainException('in a bad mood'),
        'exit' => exit('enough'),
        'wait' => wait("$folder/go-on"),
        default => null,
    };

    return $mood === 'large' ? str_repeat('x', 10 << 20) : (string) file_get_contents("$folder/state");
});

/** Until a file is there, ten seconds at most; says before that it has begun. */
function wait(string $file, string $why = 'the render waits'): void
{
    error_log($why);
    for ($turn = 0; $turn < 1000 && !file_exists($file); $turn++) {
        usleep(10_000);
        clearstatcache();
    }
}
