<?php

declare(strict_types=1);

namespace Sse\Console;

/** `sse publish news hello`: publishes an event, and prints its id. */
final class PublishCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'publish',
            'publish an event, and print its id',
            ['TOPIC', '[DATA]'],
            [
                'type=TYPE' => 'the event\'s type',
                'key=KEY' => 'publish nothing if one with this key was published before',
                'retain' => 'make it the last value of the topic',
                'start' => 'start a hub if none runs',
            ],
            'The data is sent as it is; - reads it from standard input.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        if (!$input->has('start')) {
            RunningHub::require();
        }
        $topic = (string) $input->argument('TOPIC');
        $data = $input->argument('DATA') ?? '';
        $id = \sse_publish(
            $topic,
            $data === '-' ? (string) stream_get_contents(STDIN) : $data,
            event: $input->option('type'),
            mode: 'ack',
            key: $input->option('key'),
            retain: $input->has('retain'),
        );
        if ($output->json) {
            $output->json(['id' => $id]);
        } else {
            $output->line(Output::safe($id));
        }

        return 0;
    }
}
