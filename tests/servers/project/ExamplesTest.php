<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** Each folder of examples/, started by its one line: its page is there, and what the page does makes an event arrive. */
final class ExamplesTest extends ServerTestCase
{
    private TempFolder $folder;
    private ?Process $example = null;
    private Client $client;

    protected function setUp(): void
    {
        $this->folder = new TempFolder();
    }

    protected function tearDown(): void
    {
        if ($this->example !== null) {
            $hubs = Proc::listenersOn((glob("{$this->folder->path}/sse-example-*/hub.sock") ?: [''])[0]);
            $this->example->signal(SIGTERM);
            $this->example->awaitExit();
            // Its hub and its data end with it.
            self::assertSame([], glob("{$this->folder->path}/sse-example-*"), $this->example->output());
            foreach ($hubs as $hub) {
                Deadline::until(static fn (): bool => !Proc::isAlive($hub), 10.0, "the hub $hub of the example has ended");
            }
        }
        $this->folder->remove();
        parent::tearDown();
    }

    public function testChat(): void
    {
        self::assertStringContainsString('stream.php?lastEventId=', $this->start('chat'));
        $stream = $this->client->openOne('/stream.php');

        $this->post('/send.php', ['from' => 'Alice', 'text' => 'hi']);

        self::assertSame(['{"from":"Alice","text":"hi"}'], $this->client->awaitEvents($stream, 1));
    }

    public function testProgress(): void
    {
        $this->start('progress');
        $job = json_decode($this->post('/start.php'), true)['job'];
        $stream = $this->client->openOne("/stream.php?job=$job");

        $last = $this->awaitEvent($stream, static fn (Event $event): bool => $event->data === '{"percent":100}');

        self::assertSame('progress', $last->name);
    }

    public function testDashboard(): void
    {
        $this->start('dashboard');
        $stream = $this->client->openOne('/stream.php');

        // The second comes by itself, a second later: the time is in it, so it differs.
        $figures = json_decode($this->client->awaitEvents($stream, 2)[1], true);

        self::assertSame(1, $figures['streams open']);
    }

    public function testOperator(): void
    {
        self::assertStringContainsString('data-rights="disconnect events"', $this->start('operator'));
        $reader = $this->client->openOne('/stream.php?user=alice');
        $stream = $this->client->openOne('/?data=figures');

        $figures = json_decode($this->client->awaitEvents($stream, 1)[0], true);

        self::assertSame(2, $figures['stats']['streams']['open']);
        $found = json_decode($this->client->request('/?data=streams&by=user&what=alice')->body, true);
        self::assertSame(['news', 'ticker.*'], $found['streams'][0]['topics']);
        self::assertFalse($reader->ended);
    }

    public function testTicker(): void
    {
        $this->start('ticker');
        $stream = $this->client->openOne('/stream.php?symbol=PHP');

        $prices = $this->client->awaitEvents($stream, 3);

        self::assertSame('PHP', json_decode($prices[0], true)['symbol']);
        self::assertSame(400, $this->client->request('/stream.php?symbol=**')->status);
    }

    public function testNotifications(): void
    {
        $this->start('notifications');
        self::assertSame(403, $this->client->request('/stream.php')->status);
        $login = $this->client->request('/login.php', [], 'POST', 'user=7');
        $cookie = ['Cookie' => strtok((string) $login->headers['set-cookie'], ';')];
        $stream = $this->client->openOne('/stream.php', $cookie);
        self::assertSame(['[]'], $this->client->awaitEvents($stream, 1));

        $this->post('/send.php', ['user' => 8, 'text' => 'not for seven'], $cookie);
        $this->post('/send.php', ['user' => 7, 'text' => 'hello'], $cookie);
        $this->awaitEvent($stream, static fn (Event $event): bool => $event->data === '["hello"]');
        $this->post('/seen.php', [], $cookie);

        $this->client->awaitEvents($stream, 3);
        self::assertSame(['[]', '["hello"]', '[]'], $stream->data());
    }

    public function testLlmTokens(): void
    {
        $this->start('llm-tokens');
        $asked = json_decode($this->post('/ask.php', ['question' => 'Why?']), true);
        $path = "/stream.php?id={$asked['id']}&lastEventId=" . rawurlencode($asked['cursor']);
        $stream = $this->client->openOne($path);
        $this->awaitEvent($stream, static fn (Event $event): bool => $event->name === 'done');

        // A page that is loaded again reads the same answer.
        $again = $this->client->open($path);
        $this->awaitEvent($again, static fn (Event $event): bool => $event->name === 'done');

        $answer = implode('', array_map('json_decode', array_slice($stream->data(), 0, -1)));
        self::assertStringStartsWith('You asked: "Why?" The worker', $answer);
        self::assertSame($stream->data(), $again->data());
    }

    public function testLiveTable(): void
    {
        $this->start('live-table');
        $stream = $this->client->openOne('/stream.php');
        self::assertStringContainsString('"pieces":7', $this->client->awaitEvents($stream, 1)[0]);

        $this->post('/update.php', ['id' => 2, 'pieces' => 8]);

        self::assertStringContainsString('"pieces":8', $this->client->awaitEvents($stream, 2)[1]);
    }

    /** Otherwise its last lines would name the address of another page, such as the demo's. */
    public function testAPortThatIsTakenIsNamed(): void
    {
        $taken = stream_socket_server('tcp://127.0.0.1:0');
        self::assertIsResource($taken);
        $port = (int) substr((string) strrchr((string) stream_socket_get_name($taken, false), ':'), 1);

        $example = $this->process('chat', $port);

        self::assertSame(1, $example->awaitExit());
        self::assertStringContainsString("port $port is taken", $example->output());
    }

    /** Starts an example and returns its page. */
    private function start(string $name): string
    {
        $port = Port::free();
        $this->example = $this->process($name, $port);
        Deadline::until(
            static fn (): bool => Port::answers($port),
            10.0,
            "the example $name answers",
            fn (): string => $this->example->output(),
        );
        $this->client = new Client("http://127.0.0.1:$port");
        $page = $this->client->request('/');
        self::assertSame(200, $page->status, $page->body);

        return $page->body;
    }

    private function process(string $name, int $port): Process
    {
        $run = dirname(__DIR__, 3) . '/examples/run';
        $environment = ['PORT' => (string) $port, 'TMPDIR' => $this->folder->path, 'HOME' => $this->folder->path];

        return new Process([$run, $name], "{$this->folder->path}/$name.out", $environment, null, $name);
    }

    /**
     * @param array<string, string|int> $fields
     * @param array<string, string> $headers
     */
    private function post(string $path, array $fields = [], array $headers = []): string
    {
        $body = http_build_query($fields);
        $answer = $this->client->request($path, $headers + ['Content-Length' => (string) strlen($body)], 'POST', $body);
        self::assertSame(200, $answer->status, $answer->body);

        return $answer->body;
    }

    /** @param callable(Event): bool $condition */
    private function awaitEvent(Stream $stream, callable $condition): Event
    {
        $find = static fn (Stream $stream): array => array_values(array_filter($stream->parser->events, $condition));
        $this->client->await($stream, static fn (Stream $stream): bool => $find($stream) !== [], 20.0, 'the event arrives');

        return $find($stream)[0];
    }
}
