<?php

declare(strict_types=1);

namespace Sse\Mercure;

use SseInvalidArgument;

/** What matches topics: a selector of Mercure 0.x, or of version 1.0 an exact topic or a URL pattern. */
final class Matcher
{
    /** The types of version 1.0. */
    public const TYPES = ['exact', 'urlpattern'];

    private function __construct(public readonly string $text, public readonly ?string $type)
    {
    }

    /** Of version 0.x: `*`, a topic, or a URI template. */
    public static function selector(string $text): self
    {
        return new self($text, null);
    }

    /** Of version 1.0; in both types `*` matches all topics. */
    public static function of(string $type, string $text): self
    {
        return new self($text, $type);
    }

    /** The pattern of who subscribes to what it matches. */
    public function subscription(): string
    {
        return Name::subscription($this->text, $this->type);
    }

    /** The pattern of who may get private updates that it matches. */
    public function right(): string
    {
        return Name::right($this->text, $this->type);
    }

    /** @throws SseInvalidArgument One of them is none, or beyond a limit. */
    public function matches(string $topic): bool
    {
        return \sse_mercure_matches($this->text, $topic, $this->type);
    }
}
