<?php

declare(strict_types=1);

// How requests end.

function ending(string $how): void
{
    match ($how) {
        '' => null,
        'exit' => exit(),
        'die with a text' => die('a text'),
        'exit 1' => exit(1),
        'fatal error' => no_such_function(),
        'uncaught exception' => throw new RuntimeException('not caught'),
        'exception answered with 500' => set_exception_handler(static function (): void {
            http_response_code(500);
        }) || throw new RuntimeException('caught by a handler'),
        'exception answered with 404' => set_exception_handler(static function (): void {
            http_response_code(404);
        }) || throw new RuntimeException('caught by a handler'),
        'user error' => trigger_error('given up', E_USER_ERROR),
        'warning' => trigger_error('only a warning', E_USER_WARNING),
        'status 503' => http_response_code(503),
        'status 422' => http_response_code(422),
        'out of memory' => ini_set('memory_limit', '8M') && str_repeat('x', 64 << 20),
        'out of time' => set_time_limit(1) && (static function (): void {
            while (true) {
                hash('sha256', 'x');
            }
        })(),
        'fatal error, hidden' => (static function (): void {
            register_shutdown_function(static function (): void {
                http_response_code(200);
                exit(0);
            });
            no_such_function();
        })(),
        'fatal error when it shuts down' => register_shutdown_function(static fn () => no_such_function()),
        'later ones' => later_ones(),
        'session handler' => own_session(),
        'file' => wait_for(),
        default => throw new InvalidArgumentException("no end '$how'"),
    };
}

/** Publishes in nested shutdown functions, a destructor, and the callback of an output buffer. */
function later_ones(): void
{
    $GLOBALS['kept'] = new class () {
        public function __destruct()
        {
            sse_publish('news', 'destructor');
        }
    };
    ob_start(static function (string $output): string {
        sse_publish('news', 'output buffer');

        return $output;
    });
    register_shutdown_function(static function (): void {
        sse_publish('news', 'shutdown');
        register_shutdown_function(static function (): void {
            sse_publish('news', 'nested shutdown');
            exit();
        });
    });
}

/** Publishes when the session is written, which is after the end of the request as extensions see it. */
function own_session(): void
{
    session_set_save_handler(new class () extends SessionHandler {
        public function write(string $id, string $data): bool
        {
            $answer = sse_publish('news', 'session handler');
            error_log('the session handler got ' . ($answer === '' ? 'nothing' : 'an id'));

            return parent::write($id, $data);
        }
    }, false);
    session_start();
    $_SESSION['at'] = microtime();
}

function wait_for(): void
{
    error_log('the script waits');
    for ($turn = 0; $turn < 2000 && !file_exists($_GET['file']); $turn++) {
        usleep(5_000);
        clearstatcache();
    }
}
