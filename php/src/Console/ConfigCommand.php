<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Doctor\Settings;
use Sse\Stats;
use SseException;

/** `sse config`: the settings, where they came from, and what the hub uses. */
final class ConfigCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'config',
            'every setting: its value here, where it came from, what the hub uses',
            ['[NAME…]'],
            ['differing' => 'only what the hub has other than this process; exit code 1 if there is any'],
            'The hub has read its settings when it started, from the php.ini of whoever started it. `sse upgrade` gives it those of'
            . "\nthe command line; sse_hub_upgrade() in a page those of the web server. A setting that the calling process reads has"
            . ' no value of the hub.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        if (!extension_loaded('sse')) {
            throw new SseException('the extension sse is not loaded here, so it has no settings');
        }
        $ofHub = [];
        $unknown = null;
        try {
            $ofHub = Stats::ofHub()->settings();
        } catch (SseException $problem) {
            $unknown = $problem->getMessage();
        }
        $wanted = array_map(static fn (string $name): string => str_starts_with($name, 'sse.') ? $name : "sse.$name", $input->list('NAME'));
        $rows = array_values(array_filter(
            Settings::all($ofHub),
            static fn (array $row): bool => ($wanted === [] || in_array($row['name'], $wanted, true))
                && ($row['differs'] || !$input->has('differing')),
        ));
        if ($output->json) {
            $output->json($rows);
        } else {
            $shown = static fn (string|int|bool|null $value): string => is_bool($value) ? (string) (int) $value : (string) $value;
            $output->table(['setting', 'value', 'the hub', '', 'from'], array_map(
                static fn (array $row): array => [
                    $row['name'],
                    $row['value'],
                    $shown($row['hub']),
                    $row['differs'] ? 'differs' : '',
                    $row['from'],
                ],
                $rows,
            ));
            if ($unknown !== null) {
                $output->line("\nThe hub's own are not known: " . Output::safe($unknown));
            }
        }

        return $input->has('differing') && $rows !== [] ? Program::FAILED : 0;
    }
}
