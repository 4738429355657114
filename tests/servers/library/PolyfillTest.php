<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Polyfill;
use PhpSse\Tests\Server\Process;
use Sse\Polyfill\Settings;

/**
 * What is the polyfill's own: how it is loaded, and in what it is the extension. What it has in common with that is tested with
 * it: these classes have Catalogue::POLYFILL among their servers.
 */
final class PolyfillTest extends EndpointTestCase
{
    /** @return array<string, array{string}> */
    public static function polyfills(): array
    {
        return Catalogue::each(Catalogue::POLYFILL);
    }

    /** Each attempt is made with the extension and with the polyfill: they say the same. */
    public function testItRefusesWhatTheExtensionRefusesInTheSameWords(): void
    {
        $code = <<<'PHP'
            $attempts = [
                fn () => sse_publish('', 'x'),
                fn () => sse_publish([], 'x'),
                fn () => sse_publish(['title' => 'x'], 'news'),
                fn () => sse_publish([['a']], 'x'),
                fn () => sse_publish(['a', 'b', 'c', 'd'], 'x'),
                fn () => sse_publish('a.*', 'x'),
                fn () => sse_publish("a\nb", 'x'),
                fn () => sse_publish('$a', 'x'),
                fn () => sse_publish('a', str_repeat('x', 101)),
                fn () => sse_publish('a', 'x', "na\nme"),
                fn () => sse_publish('a', 'x', ''),
                fn () => sse_publish('a', 'x', null, "i\0d"),
                fn () => sse_publish('a', 'x', null, '1763712000000-0'),
                fn () => sse_publish('a', 'x', null, str_repeat('i', 256)),
                fn () => sse_publish('a', 'x', retry: -1),
                fn () => sse_publish('a', NAN),
                fn () => sse_publish('a', 'x', key: ''),
                fn () => sse_publish('a', 'x', mode: 'later'),
                fn () => sse_publish('a', 'x', mode: "\n" . str_repeat('ä', 1000)),
                fn () => sse_publish('a', 'x', mode: 'async', report: true),
                fn () => new SseReceipt('a', -1),
                fn () => sse_publish('a', 'x', spread: 60_001),
                fn () => sse_stream('a', options: ['spread' => -1]),
                fn () => sse_finish('a.*'),
                fn () => sse_retained('a.*'),
                fn () => sse_stream('a*'),
                fn () => sse_stream('**.a'),
                fn () => sse_stream(str_repeat('a.', 16) . '*'),
                fn () => sse_stream(['a', 'b', 'c', 'd']),
                fn () => sse_stream('a', fn () => 1, ['retained' => true]),
                fn () => sse_stream('a', fn () => 1, ['topics_as' => 'field']),
                fn () => sse_stream('a', options: ['retained' => 1]),
                fn () => sse_stream('a', options: ['headers' => ['X-A: b']]),
                fn () => sse_stream('a', options: ['headers' => 'X-A: b']),
                fn () => sse_stream('a', options: ['headers' => ["X-A\r\nSet-Cookie" => 'x']]),
                fn () => sse_stream('a', options: ['headers' => ['X-A' => "x\r\nSet-Cookie: y"]]),
                fn () => sse_stream('a', options: ['headers' => ['content-type' => 'x']]),
                fn () => sse_stream('a', options: ['headers' => ['x-accel-redirect' => 'x']]),
                fn () => sse_stream('a', options: ['heartbeat' => -1]),
                fn () => sse_stream('a', options: ['heartbeat' => '5']),
                fn () => sse_stream('a', options: ['hartbeat' => 5]),
                fn () => sse_stream('a', options: ['detach' => 'no']),
                fn () => sse_stream('a', options: ['reauthorize' => 1.5]),
                fn () => sse_stream('a', options: ['user' => 42]),
                fn () => sse_stream('a', options: ['user' => str_repeat('u', 256)]),
                fn () => sse_stream('a', options: ['poll' => 1.0]),
                fn () => sse_stream('a', fn () => 1, ['poll' => 0.01]),
                fn () => sse_stream('a', fn () => 1, ['poll' => '1']),
                fn () => sse_stream('a', fn () => 1, ['event' => "a\nb"]),
                fn () => sse_stream('a', options: ['topics_as' => 'fields']),
                fn () => sse_stream('a', options: ['topics_as' => 5]),
                fn () => sse_stream('a', fn () => sse_stream('b')),
                fn () => sse_stream('a', fn () => [new SseEvent('x'), 'y']),
                fn () => sse_stream('a', fn () => str_repeat('x', 101)),
                fn () => sse_stream('a', fn () => throw new DomainException('thrown by the callback')),
                fn () => new SseEvent('x', id: "a\nb"),
                fn () => new SseEnd('x', ''),
                fn () => new SseSubscription('a', ['timeout' => 'x']),
                fn () => new SseSubscription('a.**.b'),
                fn () => SseTrigger::push('a b') ? 'taken' : throw new Exception('not taken'),
                fn () => SseTrigger::push() ? 'taken' : throw new Exception('not taken'),
            ];
            foreach ($attempts as $i => $attempt) {
                try {
                    $attempt();
                    echo "$i accepted\n";
                } catch (Throwable $refusal) {
                    // Of the first bad byte the polyfill does not say where it is.
                    echo $i, ' ', $refusal::class, ': ', $refusal->getMessage(), "\n";
                }
            }
            PHP;
        $settings = ['sse.max_event_size' => 100, 'sse.max_topics' => 3];

        $extension = explode("\n", $this->commandLine($settings)->run($code));
        $polyfill = explode("\n", $this->commandLine($settings, isPolyfill: true)->run($code));

        self::assertCount(61, $extension);
        self::assertSame($extension, $polyfill);
        self::assertSame([], preg_grep('/accepted/', $polyfill));
    }

    public function testItHasAllFunctionsAndClassesOfTheExtensionWithTheirArguments(): void
    {
        $code = <<<'PHP'
            $parameters = static fn (ReflectionFunctionAbstract $function): array => array_map(
                static fn (ReflectionParameter $one): array => [$one->getName(), $one->isOptional(), $one->isVariadic()],
                $function->getParameters(),
            );
            $declared = [];
            foreach (get_defined_functions() as $functions) {
                foreach (preg_grep('/^sse_/', $functions) as $function) {
                    $declared[$function] = $parameters(new ReflectionFunction($function));
                }
            }
            foreach (preg_grep('/^Sse[A-Z]\w*$/D', get_declared_classes()) as $class) {
                foreach ((new ReflectionClass($class))->getMethods() as $method) {
                    $declared["$class::{$method->getName()}"] = $parameters($method);
                }
            }
            ksort($declared);
            echo json_encode($declared, JSON_PRETTY_PRINT);
            PHP;

        $extension = $this->commandLine()->run($code);

        self::assertStringContainsString('"sse_publish"', $extension);
        self::assertSame($extension, $this->commandLine(isPolyfill: true)->run($code));
    }

    public function testComposerBringsItWhereTheExtensionIsMissing(): void
    {
        $commandLine = $this->commandLine();
        $path = $commandLine->folder->path;
        $site = $commandLine->folder->folder('site');
        $library = ['type' => 'path', 'url' => dirname(__DIR__, 3) . '/php', 'options' => ['symlink' => true]];
        $commandLine->folder->file('site/composer.json', json_encode([
            'repositories' => [$library, ['packagist.org' => false]],
            'require' => ['php-sse/php-sse' => '*@dev'],
        ], JSON_THROW_ON_ERROR));
        $run = static function (string $name, array $command) use ($path, $site): string {
            $environment = ['HOME' => $path, 'COMPOSER_HOME' => "$site/home", 'COMPOSER_ALLOW_SUPERUSER' => '1'];
            $process = new Process($command, "$path/log/$name.out", $environment, $site, $name);
            self::assertSame(0, $process->awaitExit(60.0), $process->output());

            return trim($process->output());
        };
        $run('composer', ['composer', 'install', '--no-interaction', '--no-progress', '--quiet']);
        $code = "require '$site/vendor/autoload.php';" . <<<'PHP'
            $id = (new Sse\Publisher\ExtensionPublisher())->publish(new Sse\Event('news', 'x'));
            echo (new ReflectionFunction('sse_publish'))->isInternal() ? 'extension' : 'polyfill', ' ', sse_cursor() === $id;
            PHP;
        $modules = array_map(static fn (string $module): string => "-dextension=$module", Polyfill::modules());
        $settings = ["-dsse.polyfill_folder=$commandLine->hubFolder", "-derror_log=$path/log/php.log"];

        self::assertSame('extension 1', $commandLine->run($code));
        self::assertSame('polyfill 1', $run('without', [Php::cli(), '-n', ...$modules, ...$settings, '-r', $code]));
    }

    /**
     * The library without Composer: of nobody's loader, and with one of the site's that knows the classes only.
     */
    public function testTheLibrarysOwnLoaderBringsClassesAndPolyfill(): void
    {
        $commandLine = $this->commandLine();
        $library = dirname(__DIR__, 3) . '/php';
        $psr4 = "spl_autoload_register(static function (\$class) {
            include '$library/src/' . strtr(substr(\$class, 4), '\\\\', '/') . '.php';
        });";
        $code = "\$folder = 'the site\\'s'; require '$library/endpoints/autoload.php';" . <<<'PHP'
            $id = (new Sse\Publisher\ExtensionPublisher())->publish(new Sse\Event('news', 'x'));
            $kind = (new ReflectionFunction('sse_publish'))->isInternal() ? 'extension' : 'polyfill';
            echo implode(' ', [$kind, sse_cursor() === $id, function_exists('mercure_publish'), $folder]);
            PHP;
        $modules = array_map(static fn (string $module): string => "-dextension=$module", Polyfill::modules());
        $log = "-derror_log={$commandLine->folder->path}/log/php.log";
        $without = [Php::cli(), '-n', ...$modules, "-dsse.polyfill_folder=$commandLine->hubFolder", $log, '-r'];

        foreach (['', $psr4] as $nth => $loader) {
            self::assertSame("extension 1 1 the site's", $commandLine->run("$loader $code"));
            $output = "{$commandLine->folder->path}/log/without-$nth.out";
            $process = new Process([...$without, "$loader $code"], $output, [], '/', 'without');
            self::assertSame(0, $process->awaitExit(20.0), $process->output());
            self::assertSame("polyfill 1 1 the site's", trim($process->output()));
        }
    }

    public function testDefaultsAreTheExtensionsWhereTheGuideSaysSo(): void
    {
        $docs = dirname(__DIR__, 3) . '/docs';
        preg_match("/^\\| (`.*`) \\| the extension's \\|/m", (string) file_get_contents("$docs/guide/polyfill.md"), $row);
        preg_match_all('/`sse\.(\w+)`/', $row[1], $names);
        preg_match_all('/^\| `sse\.(\w+)` \| `([^`]+)` \|/m', (string) file_get_contents("$docs/reference/settings.md"), $table);
        $defaults = array_intersect_key(array_combine($table[1], $table[2]), array_flip($names[1]));
        $values = static fn (Settings $settings): array => array_map(
            static fn (string $name): int|string => $name === 'publish' ? $settings->text($name) : $settings->number($name),
            $names[1],
        );

        self::assertCount(9, $names[1]);
        self::assertCount(9, $defaults);
        self::assertSame($values(new Settings($defaults)), $values(new Settings()));
    }

    public function testWhatItCannotDoIsAnExceptionThatSaysWhatToDo(): void
    {
        $code = <<<'PHP'
            $attempts = [
                fn () => sse_disconnect(user: 'a'),
                fn () => sse_presence('a'),
                fn () => sse_presence_count('a'),
                fn () => sse_watchers('a'),
                fn () => sse_streams(),
                fn () => sse_mercure_matches('*', 'a'),
                fn () => sse_mercure_subscriptions(),
                fn () => sse_stream('$mercure.match.a'),
                fn () => (new Sse\Mercure\Publisher())->publish('a'),
                fn () => new SseSubscription('$mercure.match.a'),
                fn () => sse_stream('a', options: ['last_event_id_header' => true]),
                fn () => sse_metrics(),
                fn () => sse_hub(),
                fn () => sse_hub_upgrade(),
                fn () => sse_stream('a', options: ['presence' => ['id' => 1]]),
                fn () => sse_stream('a', options: ['presence_events' => true]),
                fn () => sse_stream('a', options: ['user' => 'u', 'max_per_user' => 2]),
                fn () => sse_stream('a', options: ['user' => 'u', 'over_limit' => 'replace']),
            ];
            foreach ($attempts as $attempt) {
                try {
                    $attempt();
                    echo "accepted\n";
                } catch (SseException $refusal) {
                    echo $refusal::class, ': ', $refusal->getMessage(), "\n";
                }
            }
            PHP;

        $lines = explode("\n", $this->commandLine(isPolyfill: true)->run($code));

        self::assertCount(18, $lines);
        self::assertSame([], preg_grep('/^SseException: .* needs the extension sse/', $lines, PREG_GREP_INVERT));
    }

    /** What SSEManager does with the ready-made endpoints: it publishes, watches, and asks for more topics. */
    public function testTheReadyMadeEndpointsWork(): void
    {
        $server = $this->serveSite('php-s-polyfill');
        $server->folder->file('sse-site.php', <<<'PHP'
            <?php
            return new Sse\Endpoint\Site(watch: Sse\Policy::patterns('**'), publish: Sse\Policy::patterns('**'), user: 'alice');
            PHP);
        $stream = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field&retained=1');
        $server->client->awaitEvents($stream, 1);

        $published = self::send($server, ['topic' => 'news', 'data' => 'hello']);
        $server->client->awaitEvents($stream, 2);
        $id = json_decode($stream->data()[0], true)['stream'];
        $fields = http_build_query(['stream' => $id, 'add' => 'other']);
        $steered = $server->client->request('/sse/stream.php', [], 'POST', $fields);

        self::assertSame(200, $published->status, $published->summary());
        self::assertSame('hello', $stream->data()[1]);
        self::assertSame(409, $steered->status, $steered->summary());
        self::assertMatchesRegularExpression('/^retry: 2000\nevent: stream\ndata: .*\n\nheartbeat: /', $stream->response->body);
    }

    /** Rules that the extension has from sse.max_topics are the polyfill's by its own settings. */
    public function testTheMostTopicsAreThoseOfThePolyfillsSettings(): void
    {
        $code = <<<'PHP'
            $most[] = Sse\Rules::mostTopics();
            Sse\Polyfill::configure(['max_topics' => 3]);
            $most[] = Sse\Rules::mostTopics();
            echo json_encode($most);
            PHP;

        self::assertSame('[7,3]', $this->commandLine(['sse.max_topics' => 7], isPolyfill: true)->run($code));
    }

    /** @return iterable<string, array{string, string, bool}> server, end, whether its events are sent */
    public static function ends(): iterable
    {
        $sent = ['', 'exit', 'die with a text', 'warning', 'status 422', 'exception answered with 404'];
        $dropped = ['fatal error', 'uncaught exception', 'exception answered with 500', 'user error', 'status 503'];
        foreach (Catalogue::POLYFILL as $server) {
            foreach ([...$sent, ...$dropped] as $end) {
                yield "$server: $end" => [$server, $end, in_array($end, $sent, true)];
            }
        }
    }

    /** @dataProvider ends */
    public function testWhatIsHeldBackIsSentIfTheRequestHasSucceeded(string $name, string $end, bool $sent): void
    {
        $server = $this->serve($name, ['sse.publish' => 'commit']);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $server->client->request('/commit.php?end=' . rawurlencode($end));
        self::assertSame([''], $server->publish('news', 'the next request'));

        $expected = [...($sent ? ['held 1', 'held 2'] : []), 'the next request'];
        self::assertSame($expected, $server->client->awaitEvents($stream, count($expected)));
    }

    /** @dataProvider polyfills */
    public function testTheLogSaysOnceThatItIsThere(string $name): void
    {
        $server = $this->serve($name);

        $server->publish('news', 'one');
        $server->publish('news', 'two');

        self::assertSame(1, substr_count($server->phpLog(), 'php-sse: the extension is not loaded'));
    }
}
