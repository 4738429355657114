<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use Doctrine\DBAL\Configuration;
use Doctrine\DBAL\Driver\Exception as DriverException;
use Doctrine\DBAL\DriverManager;
use PHPUnit\Framework\AssertionFailedError;
use Sse\Event;
use Sse\Publisher\InMemoryPublisher;
use Sse\Publisher\NullPublisher;
use Sse\Publisher\TraceablePublisher;
use Sse\Publisher\TransactionPublisher;
use Sse\Symfony\DoctrineMiddleware;
use SseException;
use stdClass;

/** What publishes, as an object that is injected, and what tests put in its place. */
final class LibraryPublisherTest extends ServerTestCase
{
    private const LIBRARY = __DIR__ . '/../../../php/src';

    /** @return array<string, array{bool}> */
    public static function implementations(): array
    {
        return ['extension' => [false], 'polyfill' => [true]];
    }

    /** @dataProvider implementations */
    public function testTheExtensionPublishesWhatTheEventSays(bool $isPolyfill): void
    {
        $output = $this->commandLine(isPolyfill: $isPolyfill)->run('publisher.php', [self::LIBRARY]);

        $told = json_decode($output, true, flags: JSON_THROW_ON_ERROR);
        [$first, $again, $last] = $told['ids'];
        self::assertMatchesRegularExpression('/^\d{13}-\d+$/D', $first);
        self::assertSame($first, $again, 'the same key');
        self::assertSame(['id' => $first, 'watchers' => 0, 'duplicate' => true], $told['receipt']);
        self::assertSame(['orders.1', 'order', '{"status":"paid"}', $first], $told['read'][0]);
        $others = array_slice($told['read'], 1);
        sort($others);
        self::assertSame([
            ['orders.1', 'finished', 'the last', $last],
            ['orders.3', null, null, ''],
            ['orders.4', null, null, ''],
        ], $others);
        self::assertSame('{"status":"paid"}', $told['retained']);
        $refused = "topic 'orders.*' contains '*'; wildcards are for watching only, give a full topic";
        self::assertSame(
            [
                ['publish', ['orders.1', 'orders.2'], $first, true, null, true],
                ['publish', ['orders.1'], $first, true, null, true],
                ['notify', ['orders.3', 'orders.4'], '', true, null, true],
                ['finish', ['orders.1'], $last, true, null, true],
                ['publish', ['orders.*'], '', false, $refused, true],
            ],
            array_slice($told['traced'], 0, 5),
        );
    }

    public function testWhatNobodyTookIsLoggedAndAMistakeIsThrown(): void
    {
        $code = <<<'PHP'
            require 'Psr/Log/autoload.php';
            require 'Symfony/Component/HttpKernel/autoload.php';
            spl_autoload_register(static function (string $class) use ($argv): void {
                require "$argv[1]/" . str_replace('\\', '/', substr($class, 4)) . '.php';
            });
            $logger = new Symfony\Component\HttpKernel\Log\Logger('debug', 'php://stdout');
            $publisher = new Sse\Publisher\LoggingPublisher(new Sse\Publisher\ExtensionPublisher(), $logger);
            echo json_encode([
                $publisher->publish(new Sse\Event('news', 'x')),
                $publisher->finish('jobs.7'),
                $publisher->notify('news'),
            ]), "\n";
            try {
                $publisher->publish(new Sse\Event('a b', 'x'));
            } catch (SseInvalidArgument $mistake) {
                echo $mistake->getMessage(), "\n";
            }
            PHP;

        $output = $this->commandLine(['sse.spawn' => 'off', 'sse.timeout' => 100])->run($code, [self::LIBRARY]);

        self::assertStringContainsString('[error] An event of news was not published: ', $output);
        self::assertStringContainsString('[error] An event of jobs.7 was not published: ', $output);
        self::assertStringContainsString('[warning] A notification of news was not taken', $output);
        self::assertStringContainsString('["","",false]', $output);
        self::assertStringContainsString("topic 'a b' contains white space", $output);
    }

    public function testATestSeesWhatWasPublished(): void
    {
        $publisher = new InMemoryPublisher();
        $publisher->assertNothingPublished();

        $first = $publisher->publish(new Event(['orders.42', 'all'], ['status' => 'paid'], type: 'order', key: 'k'));
        $again = $publisher->publish(new Event('orders.42', 'another time', key: 'k'));
        $second = $publisher->publish(new Event('news', 'hello'));
        $publisher->notify('tables.orders');
        $publisher->finish('import.7', 'done', 'finished');

        self::assertSame($first, $again);
        self::assertNotSame($first, $second);
        $publisher->assertPublished('orders.*', static fn (Event $event): bool => $event->data === ['status' => 'paid']);
        $publisher->assertPublishedCount(2);
        $publisher->assertPublishedCount(1, 'orders.**');
        $publisher->assertNothingPublished('chat.**');
        $publisher->assertNotified('tables.*');
        $publisher->assertFinished('import.7');
        self::assertSame(['orders.42', 'all'], $publisher->events('all')[0]->topics);
        self::assertSame('finished', $publisher->finished()[0]->type);
        require_once self::LIBRARY . '/Polyfill/classes.php';
        $repeated = $publisher->publishWithReceipt(new Event('a', 'x', key: 'k'));
        self::assertSame([$first, 0, true], [$repeated->id, $repeated->watchers, $repeated->duplicate]);
        $held = new TransactionPublisher($publisher, $publisher);
        self::assertFalse($held->publishWithReceipt(new Event('a', 'x'))->duplicate);
        $held->begin($held);
        try {
            $held->publishWithReceipt(new Event('a', 'x'));
            self::fail('it would wait for the commit');
        } catch (SseException $refused) {
            self::assertStringContainsString('within a transaction', $refused->getMessage());
        }
        self::assertFalse($publisher->notify('a b'));
        $publisher->reset();
        $publisher->assertNothingPublished();
    }

    /** @return iterable<string, array{callable(InMemoryPublisher): void, string}> */
    public static function wrongExpectations(): iterable
    {
        yield 'another topic' => [
            static fn (InMemoryPublisher $publisher) => $publisher->assertPublished('news'),
            "no event was published to 'news'; there was: orders.42",
        ];
        yield 'other data' => [
            static fn (InMemoryPublisher $publisher) => $publisher->assertPublished('orders.*', static fn (): bool => false),
            "no event that was published to 'orders.*' is as it should be",
        ];
        yield 'nothing' => [
            static fn (InMemoryPublisher $publisher) => $publisher->assertNothingPublished(),
            'something was published; there was: orders.42',
        ];
        yield 'a number' => [
            static fn (InMemoryPublisher $publisher) => $publisher->assertPublishedCount(2),
            '1 events were published, not 2',
        ];
        yield 'a notification' => [
            static fn (InMemoryPublisher $publisher) => $publisher->assertNotified('**'),
            "no notification of '**'; there was none",
        ];
        yield 'an end' => [
            static fn (InMemoryPublisher $publisher) => $publisher->assertFinished('orders.42'),
            "'orders.42' was not finished",
        ];
    }

    /**
     * @dataProvider wrongExpectations
     * @param callable(InMemoryPublisher): void $expect
     */
    public function testAnExpectationThatDoesNotHoldFailsAndSaysWhatThereWas(callable $expect, string $message): void
    {
        $publisher = new InMemoryPublisher();
        $publisher->publish(new Event('orders.42', 'x'));

        try {
            $expect($publisher);
        } catch (AssertionFailedError $failure) {
            self::assertStringContainsString($message, $failure->getMessage());

            return;
        }
        self::fail('nothing failed');
    }

    public function testWithoutPhpUnitAnExpectationThatDoesNotHoldThrows(): void
    {
        $code = <<<'PHP'
            spl_autoload_register(static function (string $class) use ($argv): void {
                if (str_starts_with($class, 'Sse\\')) {
                    require "$argv[1]/" . str_replace('\\', '/', substr($class, 4)) . '.php';
                }
            });
            $publisher = new Sse\Publisher\InMemoryPublisher();
            $publisher->assertNothingPublished();
            try {
                $publisher->assertPublished('news');
            } catch (AssertionError $error) {
                echo $error->getMessage();
            }
            PHP;

        self::assertSame(
            "no event was published to 'news'; nothing was published",
            $this->commandLine()->run($code, [self::LIBRARY]),
        );
    }

    /** What the double refuses is what the extension refuses, in its words: each attempt is made with both. */
    public function testTheDoubleRefusesWhatTheExtensionRefuses(): void
    {
        $code = <<<'PHP'
            spl_autoload_register(static function (string $class) use ($argv): void {
                require "$argv[1]/" . str_replace('\\', '/', substr($class, 4)) . '.php';
            });
            use Sse\Event;
            $publishers = [new Sse\Publisher\ExtensionPublisher(), new Sse\Publisher\InMemoryPublisher()];
            $events = [
                new Event('', 'x'), new Event([], 'x'), new Event('a.*', 'x'), new Event('a..b', 'x'),
                new Event("a\nb", 'x'), new Event("a\u{2028}b", 'x'), new Event("a\u{85}b", 'x'), new Event('$a', 'x'),
                new Event(str_repeat('é', 200), 'x'), new Event("a\u{200b}b", 'x'), new Event("a\xff", 'x'),
                new Event(array_fill(0, 101, 'a'), 'x'), new Event('a', str_repeat('x', 1_048_577)),
                new Event('a', 'x', "na\nme"), new Event('a', 'x', "na\0me"), new Event('a', 'x', ''),
                new Event('a', 'x', str_repeat('i', 256)), new Event('a', 'x', retry: -1),
                new Event('a', 'x', retry: 86_400_001), new Event('a', NAN), new Event('a', 'x', key: ''),
                new Event('a', 'x', key: str_repeat('k', 256)), new Event('a', 'x', key: "k\xff"),
                new Event('a', 'x', except: ''), new Event('a', 'x', except: "a\nb"), new Event('a', 'fine'),
            ];
            foreach ($events as $event) {
                $answers = [];
                foreach ($publishers as $publisher) {
                    try {
                        $publisher->publish($event);
                        $answers[] = 'accepted';
                    } catch (SseException | JsonException $refusal) {
                        $answers[] = $refusal::class . ': ' . $refusal->getMessage();
                    }
                }
                $same = $answers[0] === $answers[1];
                echo $same ? 'same: ' : 'another: ', $same ? $answers[0] : json_encode($answers), "\n";
            }
            PHP;

        $lines = explode("\n", $this->commandLine()->run($code, [self::LIBRARY]));

        self::assertSame([], preg_grep('/^same: /', $lines, PREG_GREP_INVERT));
        self::assertCount(26, $lines);
        self::assertCount(4, preg_grep('/^same: accepted$/', $lines));
    }

    public function testAProfilerKeepsTheNewestOnly(): void
    {
        $publisher = new TraceablePublisher(new NullPublisher(), most: 3);

        foreach (range(1, 5) as $number) {
            $publisher->publish(new Event("orders.$number", 'x'));
        }

        self::assertSame(5, $publisher->count());
        self::assertSame(
            ['orders.3', 'orders.4', 'orders.5'],
            array_map(static fn ($one): string => $one->topics[0], $publisher->publications()),
        );
        $publisher->reset();
        self::assertSame([0, []], [$publisher->count(), $publisher->publications()]);
    }

    public function testATransactionSendsWhatItHoldsInOrderAndOnlyWhenTheOutermostIsCommitted(): void
    {
        [$atOnce, $later] = [new InMemoryPublisher(), new InMemoryPublisher()];
        $publisher = new TransactionPublisher($atOnce, $later);
        $connection = new stdClass();
        $values = (object) ['status' => 'new'];

        $publisher->publish(new Event('orders.1', 'outside'));
        $publisher->begin($connection);
        self::assertSame('', $publisher->publish(new Event('orders.2', $values, type: 'order', retry: 5, latest: true, spread: 7)));
        // What is sent is what it was at the call.
        $values->status = 'changed';
        $publisher->begin($connection);
        $publisher->notify('tables.orders');
        $publisher->commit($connection);
        $publisher->begin($connection);
        $publisher->publish(new Event('orders.3', 'of a savepoint that is rolled back'));
        $publisher->rollBack($connection);
        $publisher->finish('orders.4');
        $later->assertNothingPublished();
        self::assertSame([], $later->notified());
        $publisher->commit($connection);

        $atOnce->assertPublishedCount(1);
        self::assertSame('orders.1', $atOnce->events()[0]->topics[0]);
        $event = $later->events()[0];
        self::assertSame(
            [['orders.2'], '{"status":"new"}', 'order', 5, true, 7],
            [$event->topics, $event->data, $event->type, $event->retry, $event->latest, $event->spread],
        );
        $later->assertPublishedCount(1);
        self::assertSame(['tables.orders'], $later->notified());
        $later->assertFinished('orders.4');
    }

    public function testTransactionsOfTwoConnectionsEndInAnyOrder(): void
    {
        [$atOnce, $later] = [new InMemoryPublisher(), new InMemoryPublisher()];
        $publisher = new TransactionPublisher($atOnce, $later);
        [$one, $two] = [new stdClass(), new stdClass()];

        $publisher->begin($one);
        $publisher->publish(new Event('of.one', 'x'));
        $publisher->begin($two);
        $publisher->publish(new Event('of.two', 'x'));
        $publisher->commit($one);
        $later->assertPublished('of.one');
        $publisher->rollBack($two);
        // Of one that has none open, and of one that is not known.
        $publisher->rollBack($two);
        $publisher->commit(new stdClass());
        $publisher->publish(new Event('of.nobody', 'x'));

        $later->assertPublishedCount(1);
        $atOnce->assertPublished('of.nobody');
    }

    /** A worker goes on for days: a commit that fails must not hold back all that comes later, nor send what was not committed. */
    public function testACommitThatFailsDropsWhatItHoldsAndHoldsNothingBack(): void
    {
        require_once 'Doctrine/DBAL/autoload.php';
        [$atOnce, $later] = [new InMemoryPublisher(), new InMemoryPublisher()];
        $publisher = new TransactionPublisher($atOnce, $later);
        $configuration = (new Configuration())->setMiddlewares([new DoctrineMiddleware($publisher)]);
        $connection = DriverManager::getConnection(['driver' => 'pdo_sqlite', 'memory' => true], $configuration);
        $connection->executeStatement('PRAGMA foreign_keys = ON');
        $connection->executeStatement('CREATE TABLE orders (id INTEGER PRIMARY KEY)');
        $connection->executeStatement('CREATE TABLE lines (of INTEGER REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)');

        $connection->beginTransaction();
        $publisher->publish(new Event('orders.1', 'not committed'));
        $connection->executeStatement('INSERT INTO lines VALUES (1)');
        try {
            $connection->commit();
            self::fail('a line of no order is committed');
        } catch (DriverException $problem) {
            self::assertStringContainsString('FOREIGN KEY', $problem->getMessage());
        }
        $publisher->publish(new Event('orders.2', 'later'));

        $later->assertNothingPublished();
        $atOnce->assertPublishedCount(1);
        $atOnce->assertPublished('orders.2');
    }

    /** A worker goes on for days: a connection that was lost in a transaction must not hold back all that comes later. */
    public function testAConnectionThatIsGoneHoldsNothingBack(): void
    {
        [$atOnce, $later] = [new InMemoryPublisher(), new InMemoryPublisher()];
        $publisher = new TransactionPublisher($atOnce, $later);
        $connection = new stdClass();

        $publisher->begin($connection);
        $publisher->publish(new Event('of.it', 'x'));
        unset($connection);
        $publisher->publish(new Event('later', 'x'));
        $publisher->begin($this);
        $publisher->publish(new Event('of.this', 'x'));
        $publisher->reset();
        $publisher->commit($this);

        $atOnce->assertPublishedCount(1);
        $atOnce->assertPublished('later');
        $later->assertNothingPublished();
    }

    /** A loop that publishes in one transaction does not fill the memory; what is wrong is told where it is published. */
    public function testATransactionHoldsBackNoMoreThanItMayAndNothingThatIsWrong(): void
    {
        $code = <<<'PHP'
            spl_autoload_register(static function (string $class) use ($argv): void {
                require "$argv[1]/" . str_replace('\\', '/', substr($class, 4)) . '.php';
            });
            $publisher = new Sse\Publisher\TransactionPublisher(
                new Sse\Publisher\NullPublisher(),
                $later = new Sse\Publisher\InMemoryPublisher(),
                1000,
            );
            $publisher->begin($publisher);
            foreach ([['a', str_repeat('x', 700)], ['a', str_repeat('x', 200)], ['a.*', 'x'], ['b', 'fits']] as [$topic, $data]) {
                try {
                    $publisher->publish(new Sse\Event($topic, $data));
                    echo "held\n";
                } catch (SseException $refusal) {
                    echo $refusal::class, "\n";
                }
            }
            $publisher->commit($publisher);
            echo count($later->events());
            PHP;

        $output = $this->commandLine()->run($code, [self::LIBRARY]);

        self::assertSame("held\nSseException\nSseInvalidArgument\nSseException\n1", $output);
    }
}
