<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Support\Proc;

/** sse.namespace gives each site of one pool a hub of its own. */
final class NamespaceTest extends ServerTestCase
{
    public function testTwoSitesOfOnePoolDoNotHearEachOther(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['namespaces' => 'a|b']);
        $a = $server->client->openOne('/a/stream.php?topics=news');
        $b = $server->client->openOne('/b/stream.php?topics=news');

        foreach (['a' => 'for a', 'b' => 'for b'] as $site => $data) {
            $body = http_build_query(['topic' => 'news', 'data' => $data]);
            $response = $server->client->request("/$site/publish.php", [], 'POST', $body);
            self::assertSame(200, $response->status, $response->summary());
        }

        self::assertSame(['for b'], $server->client->awaitEvents($b, 1));
        self::assertSame(['for a'], $server->client->awaitEvents($a, 1));
        self::assertCount(1, Proc::listenersOn("{$server->hubFolder}/hub.a.sock"));
        self::assertCount(1, Proc::listenersOn("{$server->hubFolder}/hub.b.sock"));
    }

    public function testAWorkerServesBothSitesInTurn(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['namespaces' => 'a|b', 'pm.max_children' => 1]);
        $a = $server->client->openMany(3, '/a/stream.php?topics=news');
        $b = $server->client->openMany(2, '/b/stream.php?topics=news');

        self::assertSame(3, $server->json('/a/stats.php')['streams']['open']);
        self::assertSame(2, $server->json('/b/stats.php')['streams']['open']);
        self::assertCount(5, [...$a, ...$b]);
    }

    public function testANameThatIsNoFileNameIsRefused(): void
    {
        $commandLine = $this->commandLine(['sse.namespace' => '../a']);

        $said = $commandLine->run('publish.php', ['news', 'event'], [], [], 1);

        self::assertStringContainsString("'../a'", $said);
        self::assertSame(['.', '..'], scandir($commandLine->hubFolder));
    }
}
