<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;

/** The ten lines of the front page, as they are written there: whoever copies them sees an event. */
final class ReadmeTest extends ServerTestCase
{
    private TempFolder $folder;
    private ?Process $server = null;

    protected function setUp(): void
    {
        $this->folder = new TempFolder();
    }

    protected function tearDown(): void
    {
        $this->server?->stop();
        $this->folder->remove();
        parent::tearDown();
    }

    public function testTheTenLinesRunAsTheyAreWritten(): void
    {
        $port = Port::free();
        ['php' => [$stream], 'html' => [$page], 'sh' => [$serve, $publish]] = Page::blocks('README.md', 'Ten lines');
        mkdir("{$this->folder->path}/build");
        mkdir("{$this->folder->path}/hello");
        mkdir("{$this->folder->path}/tmp");
        symlink(Php::extension(), "{$this->folder->path}/build/sse.so");
        file_put_contents("{$this->folder->path}/hello/stream.php", $stream);
        file_put_contents("{$this->folder->path}/hello/index.html", $page);

        $this->server = $this->shell(str_replace('8080', (string) $port, 'exec ' . trim($serve)));
        Deadline::until(
            static fn (): bool => Port::answers($port),
            10.0,
            "PHP's server answers",
            fn (): string => $this->server->output(),
        );
        $client = new Client("http://127.0.0.1:$port");
        self::assertSame($page, $client->request('/')->body);
        $events = $client->openOne('/stream.php');
        $published = $this->shell($publish);
        self::assertSame(0, $published->awaitExit(), $published->output());

        self::assertSame(['{"title":"php-sse is out"}'], $client->awaitEvents($events, 1));
        // `onmessage` gets it: it has no type.
        self::assertSame('message', $events->parser->events[0]->name);
    }

    /** Without a setting of its own: publisher and server find each other as they would on a newcomer's machine. */
    private function shell(string $command): Process
    {
        $folder = $this->folder->path;
        $environment = ['HOME' => $folder, 'TMPDIR' => "$folder/tmp"];

        return new Process(['bash', '-c', $command], "$folder/shell.out", $environment, $folder, 'the line of README.md');
    }
}
