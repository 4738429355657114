<?php

declare(strict_types=1);

// What pages do before and after they stream.

function before(string $deed): void
{
    match ($deed) {
        '' => null,
        'session' => session_start() && $_SESSION['streams'] = ($_SESSION['streams'] ?? 0) + 1,
        'buffers' => (static function (): void {
            for ($level = 1; $level <= 3; $level++) {
                ob_start();
                echo "output of level $level";
            }
        })(),
        'callback-buffer' => ob_start(static fn (string $output): string => "rewritten: $output"),
        'zlib' => ini_set('zlib.output_compression', 'On'),
        'gzhandler' => ob_start('ob_gzhandler'),
        'echo' => print('early output'),
        'send' => (static function (): void {
            echo 'sent output, ';
            while (ob_get_level() > 0) {
                ob_end_flush();
            }
            flush();
        })(),
        'header' => header('X-Page: kept'),
        'own-type' => header('Content-Type: application/json'),
        'length' => header('Content-Length: 5'),
        'finish' => fastcgi_finish_request(),
        'status' => http_response_code(201),
        'status-line' => header('HTTP/1.1 404 Gone'),
        'odd-status-line' => header('HTTP/1.1 200 '),
        'cgi-status' => header('Status: 404 Not Found'),
        'redirect' => header('Location: /hello.php'),
        'other-body' => array_map(header(...), ['X-Accel-Redirect: /hello.php', 'X-Accel-Expires: 60', 'X-Sendfile: /etc/hostname']),
        'framing' => array_map(header(...), ['Transfer-Encoding: chunked', 'Trailer: X-Late', 'Keep-Alive: timeout=5']),
        'connection' => array_map(header(...), ['Connection: keep-alive, Upgrade', 'Upgrade: websocket']),
        'cached' => array_map(header(...), ['Cache-Control: public, max-age=60', 'ETag: "1"', 'Content-Range: bytes 0-1/2']),
        'head-callback' => header_register_callback(static function (): void {
            echo 'early output';
            header('Content-Type: text/html');
            header('Content-Length: 5');
            http_response_code(404);
        }),
        // A program that goes on in the background, for longer than any test.
        'background' => error_log('in the background: ' . exec('sleep 600 >/dev/null 2>&1 & echo $!')),
        default => throw new InvalidArgumentException("no deed '$deed' before"),
    };
}

function after(string $deed): void
{
    match ($deed) {
        '' => null,
        'echo' => print(str_repeat('late output ', 2000)),
        'flush' => (static function (): void {
            echo 'late output';
            while (ob_get_level() > 0) {
                ob_end_flush();
            }
            flush();
        })(),
        'buffer' => ob_start() && print('late output'),
        'shutdown-echo' => register_shutdown_function(static function (): void {
            echo 'late output';
            error_log('the shutdown function has run');
        }),
        'shutdown-exit' => register_shutdown_function(static function (): void {
            echo 'late output';
            error_log('the shutdown function has run');
            exit(3);
        }),
        'destructor' => $GLOBALS['destroyed'] = new class () {
            public function __destruct()
            {
                echo 'late output';
                error_log('the destructor has run');
            }
        },
        'finish' => error_log('fastcgi_finish_request returned ' . var_export(fastcgi_finish_request(), true)),
        'header' => header('X-Late: header'),
        'session' => session_start(),
        'exit' => exit('late output'),
        'throw' => throw new RuntimeException('thrown after the hand-off'),
        'fatal' => no_such_function(),
        'abort-check' => error_log('connection_aborted: ' . connection_aborted()),
        'again' => error_log('the second call: ' . second_call()),
        'wait-for-file' => wait_for_file($_GET['file']),
        default => throw new InvalidArgumentException("no deed '$deed' after"),
    };
}

/** Keeps the worker busy until a file is there, for ten seconds at most. */
function wait_for_file(string $file): void
{
    error_log('the script runs on');
    for ($turn = 0; $turn < 1000 && !file_exists($file); $turn++) {
        usleep(10_000);
        clearstatcache();
    }
    error_log('the script ran on until ' . (file_exists($file) ? 'it was told' : 'its time was over'));
}

/** Streams once more in the same request, and says what came of it. */
function second_call(): string
{
    try {
        return var_export(sse_stream('other'), true);
    } catch (SseException $exception) {
        return $exception::class . ': ' . $exception->getMessage();
    }
}
