<?php

declare(strict_types=1);

use Sse\Doctor;
use Sse\Doctor\Finding;
use Sse\Health;

if (!function_exists('sse_health')) {
    /**
     * Whether streams can be opened and events published on this machine now: {@see Health::check()} as an array, to be encoded.
     *
     * ```php
     * ['ready' => $ready, 'reasons' => $reasons] = sse_health();
     * ```
     *
     * @param bool $start Whether to start a hub where none runs, as a stream would.
     *
     * @return array{live: bool, ready: bool, reasons: array<string, string>} `reasons`: why it is not ready, by name, in sentences
     *                                                                        for administrators.
     */
    function sse_health(bool $start = true): array
    {
        $health = Health::check($start);

        return ['live' => $health->live, 'ready' => $health->ready, 'reasons' => $health->reasons];
    }
}

if (!function_exists('sse_doctor')) {
    /**
     * Why nothing arrives: {@see Doctor::examine()} as arrays, to be encoded, for a page that only administrators see.
     *
     * @param string|null           $url     A stream's public URL, which is opened and published to; null: hub and settings only.
     * @param array<string, string> $headers What opens that stream: the Cookie of one who is logged in, say.
     * @param string|null           $topic   What to publish to; null: what the stream watches, as the hub says.
     *
     * @return list<array{id: string, level: string, message: string, cure: string}> `level`: 'ok', 'note', 'warning' or 'error'.
     */
    function sse_doctor(?string $url = null, array $headers = [], ?string $topic = null): array
    {
        return array_map(static fn (Finding $finding): array => $finding->jsonSerialize(), Doctor::examine($url, $headers, $topic));
    }
}
