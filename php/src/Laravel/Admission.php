<?php

declare(strict_types=1);

namespace Sse\Laravel;

/** A channel that a client may listen to. */
final class Admission
{
    /**
     * @param string      $channel As the client names it, with `private-` or `presence-`.
     * @param string|null $id      Who they are on a presence channel; null on others.
     * @param mixed       $info    What the other members of a presence channel are told of them: what its callback said.
     */
    public function __construct(
        public readonly string $channel,
        public readonly ?string $id = null,
        public readonly mixed $info = null,
    ) {
    }
}
