<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Stats;
use SseException;
use SseUnavailable;

/** The hub that runs. A command starts none: it would be one that nobody has a stream at. */
final class RunningHub
{
    /** @throws SseUnavailable None runs. */
    public static function require(): void
    {
        try {
            Stats::ofHub();
        } catch (SseUnavailable $problem) {
            throw $problem;
        } catch (SseException) {
            // One runs that answers members of its group less.
        }
    }
}
