<?php

declare(strict_types=1);

namespace Sse\Console;

use SseSubscription;

/** `sse tail chat.*`: events as they come. */
final class TailCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'tail',
            'print events and notifications as they come, a line of JSON each',
            ['TOPIC…'],
            [
                'since=ID' => 'begin with what came after this event',
                'count=N' => 'end after so many',
                'timeout=SECONDS' => 'end, with 1, when nothing came for so long',
            ],
            "A topic may be a pattern: 'orders.*' (one more segment), '**' (all).",
        );
    }

    public function run(Input $input, Output $output): int
    {
        $left = $input->number('count', 1) ?? 0;
        $timeout = $input->number('timeout', 1);
        RunningHub::require();
        $since = $input->option('since');
        $options = ($since === null ? [] : ['last_event_id' => $since]) + ($timeout === null ? [] : ['timeout' => (float) $timeout]);
        foreach (new SseSubscription($input->list('TOPIC'), $options) as $event) {
            $output->line(EventLine::of($event));
            if (--$left === 0) {
                return 0;
            }
        }

        return Program::FAILED;
    }
}
