<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Doctor;
use Sse\Doctor\Finding;

/** `sse doctor https://www.example.org/stream.php`: why nothing arrives. */
final class DoctorCommand implements Command
{
    private const SIGNS = [
        Finding::OK => ['✓', 32],
        Finding::NOTE => ['·', 36],
        Finding::WARNING => ['!', 33],
        Finding::ERROR => ['✗', 31],
    ];

    public function definition(): Definition
    {
        return new Definition(
            'doctor',
            'find out why nothing arrives, and what to do about it',
            ['[URL]'],
            [
                'header=NAME: VALUE' => 'a header of the request, as a cookie; of several, one on a line',
                'topic=TOPIC' => 'the topic that ought to arrive; otherwise one that the stream watches',
                'patience=SECONDS' => 'how long to wait for headers and for each event; 5 otherwise',
                'hold=SECONDS' => 'then keep the stream open for so long, to see whether something cuts it',
                'insecure' => 'take any certificate, of a test machine',
                'no-publish' => 'publish nothing',
            ],
            "Looks at this process's settings and its hub. With the URL of a stream it opens that as a browser does, and publishes\n"
            . 'small events of the type `sse-doctor` into it, which no `onmessage` gets. Ends with 1 if something is to be done.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        $url = $input->argument('URL');
        $patience = $input->number('patience', 1) ?? 5;
        $hold = $input->number('hold', 1) ?? 0;
        $headers = self::headers($input->option('header') ?? '');
        $findings = Doctor::examine(
            $url,
            $headers,
            $input->option('topic'),
            !$input->has('no-publish'),
            (float) $patience,
            $hold,
            $input->has('insecure'),
        );
        if ($output->json) {
            $output->json($findings);
        } else {
            foreach ($findings as $finding) {
                [$sign, $colour] = self::SIGNS[$finding->level] ?? ['?', 0];
                $output->line($output->coloured($sign, $colour) . " $finding->id: " . Output::safe($finding->message));
                if ($finding->cure !== '') {
                    $output->line('    → ' . Output::safe($finding->cure));
                }
            }
            if ($url === null) {
                $output->line("\nWith the URL of a stream it looks at the way to the browser as well: sse doctor https://…");
            }
            $output->line("\nThe hub at work, in a browser: dashboard.php of the library, see docs/operations/monitoring.md#dashboard");
        }
        $problems = array_filter($findings, static fn (Finding $finding): bool => $finding->isProblem());

        return $problems === [] ? 0 : Program::FAILED;
    }

    /** @return array<string, string> */
    private static function headers(string $lines): array
    {
        $headers = [];
        foreach (preg_split('/\R/', $lines, -1, PREG_SPLIT_NO_EMPTY) ?: [] as $line) {
            $parts = explode(':', $line, 2);
            if (!isset($parts[1]) || trim($parts[0]) === '') {
                throw new UsageError("--header: '$line' is not NAME: VALUE");
            }
            $headers[trim($parts[0])] = trim($parts[1]);
        }

        return $headers;
    }
}
