<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;

/**
 * What changes while a callback runs is not lost: each run here reads the data, and only then somebody changes them and
 * tells so. No run that comes later can be due to anything else.
 */
final class RenderWakeTest extends RenderTestCase
{
    /** @return iterable<string, array{string, string}> */
    public static function ways(): iterable
    {
        foreach ([...Catalogue::HAND_OFF, ...Catalogue::BLOCKING] as $server) {
            foreach (['trigger', 'publish', 'process'] as $by) {
                yield "$server, $by" => [$server, $by];
            }
        }
    }

    /** @dataProvider ways */
    public function testAChangeDuringTheFirstRunMakesAnother(string $name, string $by): void
    {
        $server = $this->serve($name);
        $this->prepare($server, ['old' => 'new']);

        $stream = $server->client->openOne("/replay/page.php?topics=news&callback=changed-meanwhile&by=$by");

        self::assertSame(['old', 'new'], $server->client->awaitEvents($stream, 2));
    }

    /** @dataProvider ways */
    public function testAChangeDuringAnyRunMakesAnother(string $name, string $by): void
    {
        $server = $this->serve($name);
        $this->prepare($server, ['1' => '2', '2' => '3', '3' => '4', '4' => '5']);

        $stream = $server->client->openOne("/replay/page.php?topics=news&callback=changed-meanwhile&by=$by");

        self::assertSame(['1', '2', '3', '4', '5'], $server->client->awaitEvents($stream, 5));
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testAChangeDuringTheFirstRunOfASharedOutputMakesAnother(string $name): void
    {
        $server = $this->serve($name);
        $this->prepare($server, ['1' => '2', '2' => '3']);
        $path = '/replay/page.php?topics=news&callback=changed-meanwhile&by=trigger&share=key';

        $streams = $server->client->openMany(2, $path);

        foreach ($streams as $stream) {
            $server->client->await($stream, static fn () => in_array('3', $stream->data(), true), 10.0, 'the last came');
            self::assertSame('3', array_slice($stream->data(), -1)[0]);
        }
    }

    /** @param array<string, string> $changes what each state of the data becomes while it is shown */
    private function prepare(Server $server, array $changes): void
    {
        foreach ($changes as $from => $to) {
            $this->tell($server, "after-$from", $to);
        }
        $this->tell($server, 'shown', (string) array_key_first($changes));
        $extension = $server->folder->copy(Php::extension(), 'sse.so');
        $this->tell($server, 'command', implode(' ', array_map('escapeshellarg', [
            Php::cli(),
            '-n',
            "-dextension=$extension",
            "-dsse.socket={$server->socket()}",
            '-r',
            'exit(SseTrigger::push($argv[1]) ? 0 : 1);',
        ])));
    }
}
