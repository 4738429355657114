<?php

declare(strict_types=1);

namespace Sse;

use SseEvent;

/**
 * Events that Datastar understands: their type says what to do, and each line of the data begins with a word.
 *
 * ```php
 * sse_stream('counter', fn (array $events) => Datastar::elements('<p id="counter">' . counter() . '</p>'));
 * ```
 */
final class Datastar
{
    /**
     * Puts HTML into the page.
     *
     * @param string      $html     Elements with an id, which replace those of the page, unless a selector is given.
     * @param string|null $selector What in the page is meant: `#list`.
     * @param string|null $mode     `outer` (by default), `inner`, `append`, `prepend`, `before`, `after`, `replace`,
     *                              `remove`.
     */
    public static function elements(string $html, ?string $selector = null, ?string $mode = null): SseEvent
    {
        $lines = [
            ...($selector === null ? [] : self::lines('selector', $selector)),
            ...($mode === null ? [] : self::lines('mode', $mode)),
            ...self::lines('elements', $html),
        ];

        return new SseEvent(implode("\n", $lines), event: 'datastar-patch-elements');
    }

    /**
     * Changes the page's signals.
     *
     * @param array<string, mixed> $signals By name; null removes one.
     *
     * @throws \JsonException A value can't be JSON.
     */
    public static function signals(array $signals): SseEvent
    {
        $json = json_encode((object) $signals, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);

        return new SseEvent("signals $json", event: 'datastar-patch-signals');
    }

    /** @return list<string> each line of the text behind the word: event streams know these three ends of a line */
    private static function lines(string $word, string $text): array
    {
        return array_map(static fn (string $line): string => "$word $line", preg_split('/\r\n|\r|\n/', $text) ?: []);
    }
}
