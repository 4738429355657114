<?php

declare(strict_types=1);

namespace Sse\Console;

/** `sse watchers chat`: how many open streams would get an event of a topic. */
final class WatchersCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition('watchers', 'how many open streams would get an event of a topic', ['TOPIC'], [
            'local' => 'only those of this machine',
        ]);
    }

    public function run(Input $input, Output $output): int
    {
        RunningHub::require();
        $watchers = \sse_watchers((string) $input->argument('TOPIC'), $input->has('local'));
        if ($output->json) {
            $output->json(['watchers' => $watchers]);
        } else {
            $output->line((string) $watchers);
        }

        return 0;
    }
}
