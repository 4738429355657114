<?php

declare(strict_types=1);

// The extension's functions, where it is missing. What they do is said in stubs/sse.stub.php; what they can't do without it,
// in docs/guide/polyfill.md.

use Sse\Polyfill;
use Sse\Rules;

/**
 * @param string|array<string> $topics
 * @param array<string, mixed> $options
 */
function sse_stream(string|array $topics, ?callable $render = null, array $options = []): bool
{
    return Polyfill::stream($topics, $render === null ? null : $render(...), $options);
}

/** @return array{reason: string, stream: int, stream_id: string, last_event_id: string}|null */
function sse_render(): ?array
{
    return null;
}

/**
 * @param string|list<string> $topics
 *
 * @return ($report is true ? SseReceipt : string)
 */
function sse_publish(
    string|array $topics,
    mixed $data,
    ?string $event = null,
    string|int|null $id = null,
    ?int $retry = null,
    ?string $mode = null,
    ?string $key = null,
    bool $retain = false,
    ?string $except = null,
    bool $latest = false,
    int $spread = 0,
    bool $report = false,
    ?string $traceparent = null,
): string|SseReceipt {
    Rules::checkSpread($spread);
    Rules::checkTraceparent($traceparent);
    $id = $id === null ? null : (string) $id;
    $receipt = Polyfill::publish($topics, $data, $event, $id, $retry, $mode, $key, $retain, $report);

    return $report ? $receipt : $receipt->id;
}

function sse_retained(string $topic): ?SseEvent
{
    return Polyfill::retained($topic);
}

function sse_finish(string $topic, mixed $data = null, ?string $event = null): string
{
    return Polyfill::finish($topic, $data, $event);
}

function sse_cursor(): string
{
    return Polyfill::cursor();
}

/** @return array<string, mixed> */
function sse_stats(bool $start = true): array
{
    return Polyfill::stats();
}

function sse_disconnect(?string $user = null, ?string $stream = null, ?string $topic = null, ?int $retry = null): ?int
{
    Polyfill::refuse(__FUNCTION__, 'ends no stream of another worker; give streams the option reauthorize, and refuse them then');
}

/**
 * @param array<string> $add
 * @param array<string> $remove
 */
function sse_retopic(string $stream, array $add = [], array $remove = [], ?string $user = null): ?string
{
    Polyfill::checkRetopic($add, $remove);

    return null;
}

/** @return array<array{info: mixed, since: float, streams: int}> */
function sse_presence(string $topic, ?string $after = null, int $limit = 1000): array
{
    Polyfill::refuse(__FUNCTION__, 'knows no members; keep them in your database');
}

function sse_presence_count(string $topic): int
{
    Polyfill::refuse(__FUNCTION__, 'knows no members; keep them in your database');
}

function sse_watchers(string $topic, bool $local = false): int
{
    Polyfill::refuse(__FUNCTION__, 'knows only how many streams there are: sse_stats()');
}

function sse_mercure_matches(string $selector, string $topic, ?string $kind = null): bool
{
    Polyfill::refuse(__FUNCTION__, 'knows no selectors of Mercure');
}

/** @return array{json: string, last_event_id: string, next: string|null} */
function sse_mercure_subscriptions(
    ?string $pattern = null,
    ?string $subscriber = null,
    ?string $after = null,
    int $limit = 1000,
): array {
    Polyfill::refuse(__FUNCTION__, 'knows no subscriptions of Mercure');
}

/** @return array<string, array<string, mixed>> */
function sse_streams(
    ?string $topic = null,
    ?string $user = null,
    ?string $stream = null,
    ?string $after = null,
    int $limit = 1000,
): array {
    Polyfill::refuse(__FUNCTION__, 'knows only how many streams there are: sse_stats()');
}

function sse_metrics(): string
{
    Polyfill::refuse(__FUNCTION__, 'has no such figures; sse_stats() has some');
}

function sse_hub(): void
{
    Polyfill::refuse(__FUNCTION__, 'has no hub, and needs none');
}

/** @return array{pid: int, streams: int, pause_ms: float|null} */
function sse_hub_upgrade(): array
{
    Polyfill::refuse(__FUNCTION__, 'has no hub to be upgraded');
}
