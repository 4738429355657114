<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** Servers that are PHP programs on the command line: sse_stream() would write to their own output, and stop them. */
final class OtherServerTest extends ServerTestCase
{
    private const AMP = '/usr/share/php/Amp';
    /** What a script does that wants to know. */
    private const TRY = <<<'PHP'
        function attempt(): void {
            try {
                sse_stream('news', fn () => new SseEnd('last'));
            } catch (SseException $refusal) {
                echo get_class($refusal), ': ', $refusal->getMessage(), "\n";
            }
        }
        PHP;

    /** @return array<string, array{bool}> */
    public static function implementations(): array
    {
        return ['the extension' => [false], 'the polyfill' => [true]];
    }

    /** @dataProvider implementations */
    public function testInAmphpsEventLoopItIsRefusedAndTheLoopGoesOn(bool $isPolyfill): void
    {
        $code = self::TRY . self::amp() . <<<'PHP'
            Amp\Loop::run(static function (): void {
                Amp\Loop::defer(static fn () => attempt());
                Amp\Loop::delay(1, static function (): void { echo "later\n"; });
                Amp\call(static function (): Generator { yield new Amp\Delayed(1); attempt(); });
            });
            PHP;

        $output = $this->commandLine(isPolyfill: $isPolyfill)->run($code);

        self::assertSame(2, substr_count($output, 'SseException: sse_stream() can\'t stream here: AMPHP runs this script'), $output);
        self::assertStringContainsString('have PHP-FPM answer the URL of the stream, and publish from here', $output);
        self::assertStringContainsString("later\n", $output);
    }

    /**
     * Its program can't be had here: what it gives its workers is their environment.
     *
     * @dataProvider implementations
     */
    public function testWithRoadRunnersEnvironmentItIsRefused(bool $isPolyfill): void
    {
        foreach (['RR_MODE=http', 'RR_RELAY=pipes'] as $variable) {
            $code = "putenv('$variable');" . self::TRY . 'attempt();';

            self::assertStringContainsString('RoadRunner runs this', $this->commandLine(isPolyfill: $isPolyfill)->run($code));
        }
    }

    /** @dataProvider implementations */
    public function testBesideALoopThatDoesNotRunTheCommandLineStreams(bool $isPolyfill): void
    {
        $code = self::TRY . self::amp() . "Amp\Loop::run(static fn () => null); attempt();";

        self::assertStringContainsString("data: last", $this->commandLine(isPolyfill: $isPolyfill)->run($code));
    }

    /** What loads it: Debian's loader knows its classes only. */
    private static function amp(): string
    {
        if (!is_file(self::AMP . '/autoload.php')) {
            self::markTestSkipped('amphp: Debian 13 has no package of it');
        }
        $files = ['autoload.php', 'functions.php', 'Internal/functions.php'];

        return implode('', array_map(static fn (string $file): string => 'require "' . self::AMP . "/$file\";", $files));
    }
}
