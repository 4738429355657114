<?php

declare(strict_types=1);

namespace Sse\Console;

/** `sse streams`: which streams are open on this machine. */
final class StreamsCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition('streams', 'the open streams of this machine, oldest first', options: [
            'topic=TOPIC' => 'those that get what is published to it',
            'user=USER' => 'those of this user',
            'stream=ID' => 'the one with this id',
            'limit=N' => 'so many at most; 1000 otherwise',
        ]);
    }

    public function run(Input $input, Output $output): int
    {
        $limit = $input->number('limit', 1) ?? 1000;
        RunningHub::require();
        $streams = \sse_streams(
            topic: $input->option('topic'),
            user: $input->option('user'),
            stream: $input->option('stream'),
            limit: $limit,
        );
        if ($output->json) {
            $output->json((object) $streams);

            return 0;
        }
        $rows = [];
        foreach ($streams as $id => $stream) {
            $more = $stream['topic_count'] - min(3, count($stream['topics']));
            $rows[] = [
                $id,
                gmdate('Y-m-d H:i:s', $stream['since']),
                $stream['user'] ?? '-',
                $stream['address'] ?? '-',
                (string) $stream['bytes'],
                (string) $stream['queue'],
                $stream['callback'] ? 'callback' : $stream['framing'] ?? 'held',
                implode(' ', array_slice($stream['topics'], 0, 3)) . ($more > 0 ? " and $more more" : ''),
            ];
        }
        $output->table(['stream', 'since (UTC)', 'user', 'address', 'bytes', 'waiting', 'how', 'topics'], $rows);

        return 0;
    }
}
