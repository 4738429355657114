<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseException;

/** PHP's response as it becomes an event stream: no session, no buffers, the right headers, and bytes at once. */
final class StreamResponse
{
    private const HEADERS = [
        'Content-Type: text/event-stream; charset=utf-8',
        'Cache-Control: no-cache, no-transform',
        'X-Accel-Buffering: no',
    ];
    /** What describes another body, or what a web server obeys. */
    public const OTHERS = [
        'Content-Encoding', 'Content-Length', 'Content-Range', 'Content-MD5', 'Accept-Ranges', 'ETag', 'Last-Modified',
        'Status', 'Location', 'Transfer-Encoding', 'Connection', 'Proxy-Connection', 'Keep-Alive', 'Trailer', 'Upgrade',
        'X-Accel-Redirect', 'X-Accel-Limit-Rate', 'X-Accel-Expires', 'X-Accel-Charset', 'X-Sendfile', 'X-Sendfile2',
        'X-Sendfile-Temporary', 'X-LIGHTTPD-send-file', 'X-LiteSpeed-Location', 'X-Reproxy-URL',
    ];

    /** When the request began whose response is complete: a process that goes on, as FrankenPHP's workers do, has others. */
    private static ?float $over = null;

    /** @throws SseException The response can't become a stream any more. */
    public static function check(): void
    {
        OtherServer::check();
        if (self::$over === self::request()) {
            throw new SseException(
                'the response of this request is complete, or is a stream already; call sse_stream() once, with all topics',
            );
        }
        if (headers_sent($file, $line) && !self::isCommandLine()) {
            $where = $file === '' ? '' : " (output started at $file:$line)";
            throw new SseException(
                "the response's headers are already sent$where; call sse_stream() before any output, or turn "
                . 'output_buffering on',
            );
        }
    }

    /** Lets the session go: others of the same client would wait for it. */
    public static function closeSession(): void
    {
        if (session_status() === PHP_SESSION_ACTIVE) {
            session_write_close();
        }
    }

    /** @param array<string, string> $headers */
    public static function begin(array $headers): void
    {
        self::clear('200 OK');
        foreach (self::HEADERS as $header) {
            header($header);
        }
        foreach ($headers as $name => $value) {
            header("$name: $value");
        }
        // That the client has left is asked after each write; the script goes on then, as it does with the extension.
        ignore_user_abort(true);
    }

    /** An empty response, after which an EventSource does not come back. */
    public static function refuseForGood(): void
    {
        self::clear('204 No Content');
        self::end();
    }

    /** Sends bytes; false if the client has left. */
    public static function write(string $bytes): bool
    {
        echo $bytes;
        // A buffer that nobody may remove.
        for ($level = ob_get_level(); $level > 0; $level--) {
            ob_flush();
        }
        flush();

        return connection_aborted() === 0;
    }

    /** What the script outputs from now on goes nowhere. */
    public static function end(): void
    {
        self::$over = self::request();
        ob_start(static fn (): string => '');
    }

    public static function isCommandLine(): bool
    {
        return in_array(PHP_SAPI, ['cli', 'phpdbg', 'embed'], true);
    }

    private static function request(): float
    {
        return (float) ($_SERVER['REQUEST_TIME_FLOAT'] ?? 0);
    }

    private static function clear(string $status): void
    {
        self::closeSession();
        if (!self::isCommandLine()) {
            // Before the buffers are ended: PHP's compression is one of them, and would begin then.
            @ini_set('zlib.output_compression', '0');
        }
        for ($level = ob_get_level(); $level > 0 && @ob_end_clean(); $level--) {
            continue;
        }
        if (headers_sent()) {
            return;
        }
        // One of the page would run after this, and could make another response of it.
        header_register_callback(static function (): void {
        });
        foreach (self::OTHERS as $name) {
            header_remove($name);
        }
        // The whole line: one of the page's own would stay beside a number.
        header("HTTP/1.1 $status", true, (int) $status);
    }
}
