<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** The trace of whoever publishes by the library. */
final class LibraryTraceTest extends ServerTestCase
{
    private const LIBRARY = __DIR__ . '/../../../php/src';
    private const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    private const CODE = <<<'PHP'
        spl_autoload_register(static function (string $class) use ($argv): void {
            $file = "$argv[1]/" . str_replace('\\', '/', substr($class, 4)) . '.php';
            if (str_starts_with($class, 'Sse\\') && is_file($file)) {
                require $file;
            }
        });
        $publisher = new Sse\Publisher\ExtensionPublisher();
        $subscription = new SseSubscription('a', ['timeout' => 20]);
        $publisher->publish((new Sse\Event('a', 'said', traceparent: $argv[2]))->withData('said'));
        $publisher->publish(new Sse\Event('a', 'without'));
        if (isset($argv[3])) {
            require $argv[3];
            $context = OpenTelemetry\API\Trace\SpanContext::create(
                explode('-', $argv[2])[1],
                explode('-', $argv[2])[2],
                OpenTelemetry\API\Trace\TraceFlags::SAMPLED,
            );
            $scope = OpenTelemetry\API\Trace\Span::wrap($context)->activate();
            $publisher->publish(new Sse\Event('a', 'in a span'));
            $scope->detach();
            $publisher->publish(new Sse\Event('a', 'behind it'));
        }
        $publisher->publish(new Sse\Event('a', 'end'));
        $told = [];
        foreach ($subscription as $event) {
            if ($event->data === 'end') {
                break;
            }
            $told[$event->data] = $event->traceparent;
        }
        echo json_encode($told);
        PHP;

    public function testTheEventsOwnTraceGoesWithIt(): void
    {
        $output = $this->commandLine()->run(self::CODE, [self::LIBRARY, self::TRACE]);

        self::assertSame(['said' => self::TRACE, 'without' => null], json_decode($output, true));
    }

    public function testTheSpanOfOpenTelemetryThatIsCurrentGoesWithIt(): void
    {
        $loader = (string) getenv('OPENTELEMETRY');
        if ($loader === '') {
            self::markTestSkipped('opentelemetry: OPENTELEMETRY names no vendor/autoload.php that has open-telemetry/api');
        }

        $output = $this->commandLine()->run(self::CODE, [self::LIBRARY, self::TRACE, $loader]);

        self::assertSame(
            ['said' => self::TRACE, 'without' => null, 'in a span' => self::TRACE, 'behind it' => null],
            json_decode($output, true),
        );
    }
}
