<?php

declare(strict_types=1);

namespace Sse\Console;

use InvalidArgumentException;
use SseException;

/** A command of `sse`, which the commands of the frameworks run as well. */
interface Command
{
    public function definition(): Definition;

    /**
     * @return int The exit code: 0, or 1 where it has failed or found something.
     *
     * @throws UsageError               The command line makes no sense.
     * @throws SseException             What the hub, or the lack of one, says.
     * @throws InvalidArgumentException A name breaks a rule.
     */
    public function run(Input $input, Output $output): int;
}
