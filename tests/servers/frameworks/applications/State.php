<?php

declare(strict_types=1);

namespace App;

use RuntimeException;
use SseTrigger;

/** What the applications' callbacks render: a text in a file. */
final class State
{
    public const TOPIC = 'state';

    public static function change(string $text): void
    {
        file_put_contents(self::file(), $text, LOCK_EX);
        SseTrigger::push(self::TOPIC);
    }

    public static function text(): string
    {
        return is_file(self::file()) ? (string) file_get_contents(self::file()) : 'new';
    }

    /** @return array{state: string, user: string} */
    public static function render(string $user): array
    {
        $text = self::text();
        if ($text === 'broken') {
            throw new RuntimeException('the callback failed');
        }

        return ['state' => $text, 'user' => $user];
    }

    private static function file(): string
    {
        return dirname(__DIR__, 2) . '/log/state.txt';
    }
}
