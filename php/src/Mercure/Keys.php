<?php

declare(strict_types=1);

namespace Sse\Mercure;

use SseUnavailable;

/** What tokens are signed with: a {@see Key}, or the {@see KeySet} of a server that changes its keys. */
interface Keys
{
    /**
     * The keys that may have signed a token.
     *
     * @param string      $algorithm What the token's header names.
     * @param string|null $id        The key's id (`kid`) there, if it names one.
     *
     * @return list<Key>
     *
     * @throws SseUnavailable It is not known at the moment which there are.
     */
    public function of(string $algorithm, ?string $id): array;
}
