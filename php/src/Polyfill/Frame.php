<?php

declare(strict_types=1);

namespace Sse\Polyfill;

/** The bytes of an event stream, as the HTML standard has them: "Server-sent events", 9.2.5. */
final class Frame
{
    public const HEARTBEAT = ":\n\n";

    public static function event(string $data, ?string $type = null, ?string $id = null, ?int $retry = null): string
    {
        $frame = $id === null ? '' : "id: $id\n";
        $frame .= $type === null ? '' : "event: $type\n";
        $frame .= $retry === null ? '' : "retry: $retry\n";
        // "Lines must be separated by either a CRLF pair, a single LF, or a single CR."
        foreach (preg_split('/\r\n|\r|\n/', $data) ?: [''] as $line) {
            $frame .= "data: $line\n";
        }

        return "$frame\n";
    }

    /** The first bytes of a stream, without the blank line: a client sees at once that it is connected. */
    public static function opening(int $retry): string
    {
        return $retry > 0 ? "retry: $retry\n" : ":\n";
    }

    public static function gap(?string $requested, ?string $oldest): string
    {
        return self::event(self::json(['oldest' => $oldest, 'requested' => $requested]), 'gap');
    }

    /** @param array<string, mixed> $value A text in it may be a client's, as its Last-Event-ID is, and in any bytes. */
    public static function json(array $value): string
    {
        return json_encode(
            $value,
            JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR,
        );
    }
}
