<?php

declare(strict_types=1);

namespace Sse\Console;

use InvalidArgumentException;
use SseException;
use SseUnavailable;

/** The program `sse`: finds the command and tells what went wrong. */
final class Program
{
    /** Exit codes beside 0: what was asked for failed, the command line makes no sense, no hub runs. */
    public const FAILED = 1;
    public const MISUSED = 2;
    public const NO_HUB = 3;

    /** @return list<Command> */
    public static function commands(): array
    {
        return [
            new StatsCommand(),
            new StreamsCommand(),
            new WatchersCommand(),
            new PresenceCommand(),
            new TailCommand(),
            new HistoryCommand(),
            new PublishCommand(),
            new NotifyCommand(),
            new DisconnectCommand(),
            new DrainCommand(),
            new UpgradeCommand(),
            new ConfigCommand(),
            new DoctorCommand(),
            new HealthCommand(),
        ];
    }

    /**
     * @param list<string> $words      What follows the program's name.
     * @param bool         $isTerminal Whether somebody looks at the output.
     */
    public static function run(array $words, bool $isTerminal = false): int
    {
        $name = $words[0] ?? 'help';
        $complain = static function (string $text): void {
            fwrite(STDERR, 'sse: ' . Output::safe($text) . "\n");
        };
        if (in_array($name, ['help', '--help', '-h'], true)) {
            $name = $words[1] ?? null;
            if ($name === null) {
                fwrite(STDOUT, self::overview());

                return 0;
            }
            $words = [$name, '--help'];
        }
        $command = self::command($name);
        if ($command === null) {
            $complain("there is no command '$name'; `sse help` lists them");

            return self::MISUSED;
        }
        try {
            $input = Input::parse($command->definition(), array_slice($words, 1));
            if ($input->has('help')) {
                fwrite(STDOUT, $command->definition()->usage());

                return 0;
            }
            $write = static function (string $text): void {
                fwrite(STDOUT, $text);
            };

            return $command->run($input, new Output($write, $input->has('json'), $isTerminal));
        } catch (UsageError $problem) {
            $complain($problem->getMessage() . "; see `sse help $name`");

            return self::MISUSED;
        } catch (SseUnavailable $problem) {
            $complain($problem->getMessage());
            $complain('the hub is found by user, temporary folder and sse.namespace, or by sse.socket; `sse doctor` looks for it');

            return self::NO_HUB;
        } catch (SseException | InvalidArgumentException $problem) {
            $complain($problem->getMessage());

            return self::FAILED;
        }
    }

    private static function command(string $name): ?Command
    {
        foreach (self::commands() as $command) {
            if ($command->definition()->name === $name) {
                return $command;
            }
        }

        return null;
    }

    private static function overview(): string
    {
        $rows = [];
        foreach (self::commands() as $command) {
            $definition = $command->definition();
            $rows[$definition->name] = $definition->summary;
        }

        return "usage: sse COMMAND [ARGUMENT …] [--json]\n\nWatches and steers php-sse, as the user that the hub runs as"
            . " (sudo -u www-data sse …).\n\n" . Output::columns($rows)
            . "\n`sse help COMMAND` tells more. Exit codes: 0 done, 1 failed, 2 a wrong command line, 3 no hub.\n";
    }
}
