<?php

declare(strict_types=1);

namespace Sse\Console;

/** `sse presence room.7`: who is on a topic. */
final class PresenceCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition('presence', 'who is on a topic', ['TOPIC'], ['limit=N' => 'so many at most; 1000 otherwise']);
    }

    public function run(Input $input, Output $output): int
    {
        $limit = $input->number('limit', 1) ?? 1000;
        RunningHub::require();
        $members = \sse_presence((string) $input->argument('TOPIC'), limit: $limit);
        if ($output->json) {
            $output->json((object) $members);

            return 0;
        }
        $rows = [];
        foreach ($members as $id => $member) {
            $info = json_encode($member['info'] ?? null, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE);
            $rows[] = [(string) $id, gmdate('Y-m-d H:i:s', (int) $member['since']), (string) $member['streams'], (string) $info];
        }
        $output->table(['user', 'since (UTC)', 'streams', 'info'], $rows);

        return 0;
    }
}
