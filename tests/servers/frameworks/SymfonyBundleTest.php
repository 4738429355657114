<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;

/** The bundle in a kernel of Symfony's framework bundle, as Debian has it, with Twig, Messenger, the profiler and Doctrine DBAL. */
final class SymfonyBundleTest extends FrameworkTestCase
{
    private const APPLICATION = 'symfony-bundle';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'php-s-workers', 'php-s-polyfill']);
    }

    /** A method of AbstractController, such as stream(), cannot be an action, and its getUser() is what the examples call. */
    public function testTheManualsActionsCanStandInAController(): void
    {
        $code = "require '/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php';\n"
            . "use Symfony\\Component\\HttpFoundation\\Response;\n";
        foreach (['docs/frameworks.md', 'docs/guide/symfony.md', 'php/src/Symfony/StreamResponse.php'] as $number => $page) {
            $text = (string) file_get_contents(dirname(__DIR__, 3) . "/$page");
            preg_match_all('/^(?: \* )?public function \w+\([^)]*\): Response$/m', $text, $actions);
            self::assertNotSame([], $actions[0], $page);
            $methods = implode(' {} ', str_replace(' * ', '', $actions[0]));
            $code .= "class Controller$number extends Symfony\\Bundle\\FrameworkBundle\\Controller\\AbstractController { $methods {} }\n";
        }

        self::assertSame('done', $this->commandLine()->run("$code echo 'done';"));
    }

    /** @dataProvider servers */
    public function testWhatAnInjectedPublisherPublishesReachesAStream(string $name): void
    {
        $server = $this->serveBundle($name);
        $stream = $server->client->openOne(self::url('/stream?topics=news,orders.*'));

        $answer = self::call($server, '/publish', ['topic' => 'news', 'data' => 'hello']);

        self::assertSame(['hello'], $server->client->awaitEvents($stream, 1));
        self::assertSame($answer['id'], $stream->parser->events[0]->id);
        self::assertSame('Sse\Publisher\TransactionPublisher', $answer['publisher']);
        self::assertStringStartsWith('text/event-stream', $stream->response->headers['content-type']);
        self::assertStringStartsWith("retry: 700\n", $stream->response->body);
        self::assertSame('hello from the bundle', $server->client->request(self::url('/hello'))->body);
        self::assertNoComplaint($server);
    }

    /** @dataProvider servers */
    public function testATransactionSendsAfterItsCommitAndDropsAfterARollback(string $name): void
    {
        $server = $this->serveBundle($name);
        $stream = $server->client->openOne(self::url('/stream?topics=orders.*'));

        $failed = self::call($server, '/order', ['order' => 1, 'fail' => 1]);
        $done = self::call($server, '/order', ['order' => 2]);

        self::assertSame(
            ['after the end', 'before the commit', 'after the end'],
            $server->client->awaitEvents($stream, 3),
        );
        $ids = array_column($stream->parser->events, 'id');
        // What is held back has no id yet.
        self::assertSame([['', $ids[0]], ['', $ids[2]]], [$failed['ids'], $done['ids']]);
        self::assertNoComplaint($server);
    }

    /** @dataProvider servers */
    public function testAMessageSendsWhenItsHandlersHaveSucceeded(string $name): void
    {
        $server = $this->serveBundle($name);
        $stream = $server->client->openOne(self::url('/stream?topics=orders.*'));

        self::assertSame(['failed' => 'the handler fails'], self::call($server, '/message', ['order' => 1, 'fail' => 1]));
        self::assertSame(['failed' => null], self::call($server, '/message', ['order' => 2]));
        self::call($server, '/publish', ['topic' => 'orders.3', 'data' => 'the last']);

        self::assertSame(['paid by a message', 'the last'], $server->client->awaitEvents($stream, 2));
    }

    /** @dataProvider servers */
    public function testACallbackRendersInTheController(string $name): void
    {
        $server = $this->serveBundle($name);
        $stream = $server->client->openOne(self::url('/render'));

        self::call($server, '/publish', ['topic' => 'orders.1', 'data' => 'x']);

        self::assertSame(['0', '1'], $server->client->awaitEvents($stream, 2));
        self::assertSame('count', $stream->parser->events[0]->name);
    }

    public function testReplaysDoNotCountForARateLimiter(): void
    {
        [$listener] = Page::blocks('docs/guide/recipes/rate-limits.md', 'Symfony')['php'];
        $server = $this->serveBundle('nginx-fpm-unix');
        $server->folder->file('app/frameworks/symfony-bundle/StreamLimit.php', $listener);
        $stream = $server->client->openOne(self::url('/render'));

        $server->client->awaitEvents($stream, 1);
        for ($number = 1; $number <= 3; $number++) {
            self::call($server, '/publish', ['topic' => 'orders.1', 'data' => 'x']);
            $renders = static fn (): array => $server->stats()['renders'];
            Deadline::until(static fn (): bool => $renders()['done'] + $renders()['failed'] >= $number, 20.0, "$number replays");
        }
        self::assertSame(0, $server->stats()['renders']['failed']);
        $server->client->openOne(self::url('/render'));
        $refused = $server->client->request(self::url('/render'));

        self::assertSame(429, $refused->status, $refused->summary());
        self::assertMatchesRegularExpression('/^\d+$/D', $refused->headers['retry-after'] ?? '');
        self::assertSame(200, $server->client->request(self::url('/hello'))->status);
    }

    public function testATemplateHasTheAddressOfAStreamThatBeginsWhereItEnds(): void
    {
        $server = $this->serveBundle('nginx-fpm-unix');
        $before = self::call($server, '/publish', ['topic' => 'news', 'data' => 'before the page'])['id'];

        $page = $server->client->request(self::url('/page'))->body;
        self::call($server, '/publish', ['topic' => 'orders.1', 'data' => 'between']);

        self::assertSame(1, preg_match('/data-source="([^"]+)"/', $page, $found));
        $source = html_entity_decode($found[1]);
        self::assertSame("/stream?topics=news%2Corders.%2A&lastEventId=$before", $source);
        $stream = $server->client->openOne(self::url($source));
        self::assertSame(['between'], $server->client->awaitEvents($stream, 1));
    }

    public function testTheProfilerShowsWhatARequestHasPublished(): void
    {
        $server = $this->serveBundle('nginx-fpm-unix', ['env[APP_DEBUG]' => '1']);
        $published = self::post($server, self::url('/publish'), [], ['topic' => 'news', 'data' => '<b>hello</b>']);
        $order = self::post($server, self::url('/order'), [], ['order' => 7]);

        self::assertStringContainsString('TraceablePublisher', $published->body);
        $panel = $this->panel($server, $published);
        self::assertStringContainsString('<td>news</td>', $panel);
        self::assertStringContainsString('&lt;b&gt;hello&lt;/b&gt;', $panel);
        self::assertStringContainsString(json_decode($published->body, true)['id'], $panel);
        self::assertSame(2, substr_count($this->panel($server, $order), '<td>orders.7</td>'));
        self::assertStringContainsString(
            'This request has published nothing.',
            $this->panel($server, $server->client->request(self::url('/hello'))),
        );
    }

    public function testWhatNobodyTakesAfterTheCommitIsLoggedAndTheRequestSucceeds(): void
    {
        $server = $this->serveBundle('php-s-workers', [], ['sse.spawn' => 'off', 'sse.timeout' => 100]);
        $server->folder->file('app/frameworks/symfony-bundle/quiet.php', <<<'PHP'
            <?php
            require __DIR__ . '/loader.php';
            $kernel = new App\Application('prod', false);
            $kernel->boot();
            $publisher = $kernel->getContainer()->get(Sse\PublisherInterface::class);
            $publisher->begin($kernel);
            $held = $publisher->publish(new Sse\Event('news', 'x'));
            $publisher->commit($kernel);
            try {
                $publisher->publish(new Sse\Event('news', 'x'));
            } catch (SseUnavailable) {
                echo json_encode([$held, 'unavailable']);
            }
            PHP);

        self::assertSame(['', 'unavailable'], $server->json('/frameworks/symfony-bundle/quiet.php'));
        self::assertStringContainsString('An event of news was not published: ', $server->logs());
    }

    public function testATestOfTheApplicationHasItsOwnPublisher(): void
    {
        $server = $this->serveBundle('php-s-workers', [], ['sse.spawn' => 'off']);
        $server->folder->file('app/frameworks/symfony-bundle/tested.php', <<<'PHP'
            <?php
            require __DIR__ . '/loader.php';
            $kernel = new App\Application('test', false);
            $request = Symfony\Component\HttpFoundation\Request::create('/publish', 'POST', ['topic' => 'news', 'data' => 'x']);
            $response = $kernel->handle($request);
            $publisher = $kernel->getContainer()->get(Sse\Publisher\InMemoryPublisher::class);
            $publisher->assertPublished('news');
            echo json_encode([$response->getStatusCode(), count($publisher->events())]);
            PHP);

        self::assertSame([200, 1], $server->json('/frameworks/symfony-bundle/tested.php'));
    }

    public function testACommandPublishes(): void
    {
        $server = $this->serveBundle('php-s-workers');
        $stream = $server->client->openOne(self::url('/stream?topics=news'));
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'extension' => 'ctype']);
        $console = "{$server->folder->path}/app/frameworks/symfony-bundle/console.php";

        $id = $commandLine->run("\$_SERVER['argv'] = ['console', 'sse:publish', 'news', 'by a command', '--type=typed'];"
            . "require '$console';");

        self::assertSame(['by a command'], $server->client->awaitEvents($stream, 1));
        self::assertSame([$id, 'typed'], [$stream->parser->events[0]->id, $stream->parser->events[0]->name]);
        $run = static fn (string $arguments): string => $commandLine->run(
            "\$_SERVER['argv'] = ['console', $arguments]; require '$console';",
        );
        self::assertSame('1', $run("'sse:watchers', 'news'"));
        self::assertSame($id, json_decode($run("'sse:history', 'news'"), true, 512, JSON_THROW_ON_ERROR)['id']);
        self::assertSame('{}', $run("'sse:streams', '--user=bob', '--json'"));
    }

    /**
     * @param array<string, string|int> $options
     * @param array<string, string|int> $ini
     */
    private function serveBundle(string $name, array $options = [], array $ini = []): Server
    {
        $options += ['modules' => 'mbstring,iconv,tokenizer,dom,xml,simplexml,pdo,pdo_sqlite,posix'];

        return $this->serveApplications($name, $ini, $options);
    }

    private function panel(Server $server, Response $response): string
    {
        $token = $response->headers['x-debug-token'] ?? '';
        self::assertNotSame('', $token, $response->summary());
        $panel = rawurlencode('Sse\Symfony\SseDataCollector');
        $answer = $server->client->request(self::url("/_profiler/$token?panel=$panel"));
        self::assertSame(200, $answer->status, $answer->summary());

        return $answer->body;
    }

    /**
     * @param array<string, string|int> $fields
     *
     * @return array<string, mixed>
     */
    private static function call(Server $server, string $path, array $fields): array
    {
        return json_decode(self::post($server, self::url($path), [], $fields)->body, true, flags: JSON_THROW_ON_ERROR);
    }

    private static function url(string $path): string
    {
        return self::path(self::APPLICATION, $path);
    }
}
