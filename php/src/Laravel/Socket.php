<?php

declare(strict_types=1);

namespace Sse\Laravel;

/**
 * What a page says as `X-Socket-ID`, and toOthers() leaves out: the public id of its stream, and, after a dot, a secret of the page.
 *
 * The hub does not send an event to that stream. A page that comes back has another one, and tabs may share theirs: so the event
 * has the page's mark in it, and the page drops what it has sent itself. The mark is a hash of the secret: who gets the event can't
 * pass for the page, and so hide something from it. Either may be missing; a page may also still send another server's, which is
 * neither.
 */
final class Socket
{
    private const SHAPE = '/^([A-Za-z0-9_-]{22})?(?:\.([a-z0-9]{16}))?$/D';

    /** Characters of a mark, 4 bits each. */
    private const MARK = 16;

    private function __construct(public readonly ?string $stream, public readonly ?string $mark)
    {
    }

    public static function of(mixed $socket): self
    {
        preg_match(self::SHAPE, is_string($socket) ? $socket : '', $found, PREG_UNMATCHED_AS_NULL);

        $secret = $found[2] ?? null;

        return new self($found[1] ?? null, $secret === null ? null : substr(hash('sha256', $secret), 0, self::MARK));
    }
}
