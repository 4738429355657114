<?php

declare(strict_types=1);

namespace Sse\Mercure;

use Sse\Endpoint\Answer;

/** The active subscriptions, which Mercure's hub lists below its own URL. */
final class Subscriptions
{
    /** The hub's path, whatever the endpoint's own is: by it tokens and updates name what is below. */
    public const HUB = '/.well-known/mercure';

    /** Most of them in an answer; a link leads to the next ones. */
    private const MOST = 10_000;

    /** @param list<string> $names What the path has behind, decoded. */
    private function __construct(private readonly array $names)
    {
    }

    /** What a request's path asks for; null: it is the hub's own, or that of something else. */
    public static function of(string $path): ?self
    {
        if (preg_match('~/mercure(?:\.php)?/subscriptions((?:/[^/]+){0,3})$~D', $path, $match) !== 1) {
            return null;
        }

        return new self(array_map(rawurldecode(...), array_slice(explode('/', $match[1]), 1)));
    }

    /** The topic that a right must match. */
    public function topic(): string
    {
        return implode('/', [self::HUB . '/subscriptions', ...array_map(rawurlencode(...), $this->names)]);
    }

    /** The documents, for a client that has the right. */
    public function answer(Fields $query, Protocol $protocol): Answer
    {
        $wanted = $protocol->subscriptions($this->names);
        if ($wanted === null) {
            return self::none();
        }
        [$matcher, $subscriber] = $wanted;
        $after = $query->first('after');
        $after = $after === '' ? null : $after;
        $found = \sse_mercure_subscriptions($matcher?->subscription(), $subscriber, $after, self::MOST);
        if ($subscriber !== null && $found['json'] === '[]') {
            return self::none();
        }
        $json = $subscriber === null ? $found['json'] : substr($found['json'], 1, -1);
        $next = $found['next'] === null ? null : $this->topic() . '?after=' . rawurlencode($found['next']);

        return $protocol->list($this->topic(), $json, $subscriber !== null, $found['last_event_id'], $next);
    }

    private static function none(): Answer
    {
        return Text::answer(404, 'There is no such subscription');
    }
}
