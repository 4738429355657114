<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Server;

/** metrics.php: the figures, for whom the site names and for nobody else. */
final class EndpointMetricsTest extends EndpointTestCase
{
    private const PATH = '/sse/metrics.php';
    private const TOKEN = 'token-of-the-monitoring';

    public function testTheTokenOfTheSiteReadsThem(): void
    {
        $server = $this->serveMetrics("metrics: '" . self::TOKEN . "'");

        $answer = $server->client->request(self::PATH, ['Authorization' => 'Bearer ' . self::TOKEN]);
        self::assertSame(200, $answer->status, $answer->summary());
        self::assertStringContainsString('sse_streams_open 0', $answer->body);
        $answer = $server->client->request(self::PATH, ['Authorization' => 'Bearer token']);
        self::assertSame([401, 'Bearer'], [$answer->status, $answer->headers['www-authenticate']]);
        self::assertSame(401, $server->client->request(self::PATH)->status);
        self::assertSame(405, $server->client->request(self::PATH, [], 'POST')->status);
        self::assertStringNotContainsString('sse_streams_open', $answer->body);
    }

    public function testAFunctionOfTheSiteDecides(): void
    {
        $server = $this->serveMetrics('metrics: fn (): bool => $_SERVER["HTTP_X_MONITOR"] === "yes"');

        self::assertSame(403, $server->client->request(self::PATH, ['X-Monitor' => 'no'])->status);
        $answer = $server->client->request(self::PATH, ['X-Monitor' => 'yes']);
        self::assertSame(200, $answer->status, $answer->summary());
        $type = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
        self::assertSame([$type, 'no-store'], [$answer->headers['content-type'], $answer->headers['cache-control']]);
        self::assertMatchesRegularExpression('/^sse_streams_open 0$.*^# EOF\n\z/ms', $answer->body);
    }

    /** The attack: a token that the environment lacks is empty, and anybody has that. */
    public function testASiteThatSaysNothingOrHasNoTokenLetsNobodyReadThem(): void
    {
        foreach (['' => 403, "metrics: ''" => 500, "metrics: 'too short'" => 500] as $setting => $status) {
            $server = $this->serveMetrics($setting);
            foreach ([[], ['Authorization' => 'Bearer '], ['Authorization' => 'Bearer too']] as $headers) {
                $answer = $server->client->request(self::PATH, $headers);
                self::assertSame($status, $answer->status, $answer->summary());
                self::assertStringNotContainsString('sse_', $answer->body);
            }
        }
        self::assertStringContainsString('the token of $metrics has 9 bytes, and needs 16 at least', $server->phpLog());
    }

    private function serveMetrics(string $setting): Server
    {
        $server = $this->serveSite('php-s');
        $server->folder->file('sse-site.php', "<?php return new Sse\\Endpoint\\Site(Sse\\Policy::none(), $setting);");

        return $server;
    }
}
