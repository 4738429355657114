<?php

declare(strict_types=1);

namespace Sse\Mercure;

use Sse\Endpoint\Answer;

/** Plain text, by which the endpoint says what it has done, or why not. */
final class Text
{
    public static function answer(int $status, string $text): Answer
    {
        return new Answer($status, $text, ['Content-Type' => 'text/plain; charset=utf-8']);
    }
}
