<?php

declare(strict_types=1);

namespace Sse\Console;

use SseException;
use SseTrigger;

/** `sse notify orders.42`: tells that topics changed, without data. */
final class NotifyCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition('notify', 'tell callbacks and subscriptions that topics changed, without data', ['TOPIC…']);
    }

    public function run(Input $input, Output $output): int
    {
        RunningHub::require();
        $told = SseTrigger::push(...$input->list('TOPIC'));
        if (!$told) {
            throw new SseException('it was not taken; the hub\'s log may say why, or a topic breaks a rule');
        }
        if ($output->json) {
            $output->json(['notified' => true]);
        }

        return 0;
    }
}
