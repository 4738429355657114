<?php

declare(strict_types=1);

namespace PhpSse\Tests\Support;

use PhpSse\Tests\Client\Response;

/**
 * A response as a readable file, byte for byte but for what changes from run to run.
 *
 * Each line ends where the wire has an LF; a CR before it is written as ␍.
 */
final class Transcript
{
    private const CHANGING = [
        '/^(Date): .*$/mi' => '$1: (a date)',
        '/^(Server): .*$/mi' => '$1: (a name)',
        '/^(X-Powered-By): .*$/mi' => '$1: (a name)',
        '/^(Host): .*$/mi' => '$1: (an address)',
    ];

    public static function of(string $request, Response $response): string
    {
        $lines = str_replace("\r", '', (string) $response->head);
        $head = preg_replace(array_keys(self::CHANGING), self::CHANGING, $lines);

        // The hub's own id, which tells a client where it is before it gets an event.
        $body = preg_replace('/^id: \d{13}-0$/m', 'id: (the newest)', $response->coded);

        return "$request\n\n" . self::visible(str_replace("\n", "\r\n", $head) . "\r\n\r\n" . $body);
    }

    private static function visible(string $bytes): string
    {
        return str_replace("\r", '␍', $bytes) . (str_ends_with($bytes, "\n") ? '' : "(no end of line)\n");
    }
}
