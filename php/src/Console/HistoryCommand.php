<?php

declare(strict_types=1);

namespace Sse\Console;

use SseSubscription;
use SseTrigger;

/** `sse history chat`: the events that the hub keeps. */
final class HistoryCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'history',
            'print the events that are kept for clients which come back, a line of JSON each',
            ['TOPIC…'],
            ['since=ID' => 'only what came after this event'],
            'As much as a client would get: `sse.history_events`, and half of `sse.stream_buffer` at most. A line with '
            . "\"notification\" says that\nthere was more, which is not kept.",
        );
    }

    public function run(Input $input, Output $output): int
    {
        RunningHub::require();
        // What is kept comes first, so all of it is there when this notification is.
        $end = 'sse.console.' . bin2hex(random_bytes(8));
        $events = new SseSubscription(
            [...$input->list('TOPIC'), $end],
            ['last_event_id' => $input->option('since') ?? '0-0', 'timeout' => 10.0],
        );
        SseTrigger::push($end);
        foreach ($events as $event) {
            if ($event->isTrigger && $event->topic === $end) {
                return 0;
            }
            // From the beginning something is missing always.
            if (!$event->isTrigger || $input->has('since')) {
                $output->line(EventLine::of($event));
            }
        }

        return Program::FAILED;
    }
}
