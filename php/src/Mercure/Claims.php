<?php

declare(strict_types=1);

namespace Sse\Mercure;

/** What a client's token allows. */
final class Claims
{
    /**
     * @param list<Matcher>                                       $publish   The topics that the client may publish to.
     * @param list<Matcher>                                       $subscribe The private updates that the client may get.
     * @param int|null                                            $expires   When the token ends, in seconds since 1970;
     *                                                                       null: never.
     * @param list<array{matchers: list<Matcher>, payload: mixed}> $payloads  What is shown of the client's subscriptions to
     *                                                                       those who may see them, by the first that matches.
     */
    public function __construct(
        public readonly array $publish,
        public readonly array $subscribe,
        public readonly ?int $expires = null,
        private readonly array $payloads = [],
    ) {
    }

    /** Whether all these topics may be published to. */
    public function mayPublish(string ...$topics): bool
    {
        foreach ($topics as $topic) {
            if (!self::match($this->publish, $topic)) {
                return false;
            }
        }

        return true;
    }

    /** Whether private updates of this topic may be read. */
    public function mayRead(string $topic): bool
    {
        return self::match($this->subscribe, $topic);
    }

    /** What is shown of a subscription; null: nothing. */
    public function payload(Matcher $subscription): mixed
    {
        foreach ($this->payloads as ['matchers' => $matchers, 'payload' => $payload]) {
            if (self::match($matchers, $subscription->text)) {
                return $payload;
            }
        }

        return null;
    }

    /** @param list<Matcher> $matchers */
    private static function match(array $matchers, string $topic): bool
    {
        foreach ($matchers as $matcher) {
            if ($matcher->matches($topic)) {
                return true;
            }
        }

        return false;
    }
}
