<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Server;

/** get_sse_config.php: the listed values of .apienv reach the browser, and no other one ever does. */
final class EndpointConfigTest extends EndpointTestCase
{
    private const PATH = '/sse/get_sse_config.php';

    /** Parts of all values in the file that are not public, as no answer may have them. */
    private const SECRETS = ['pw-Ahth3eiV', 'user-iePh4ahc', 'db-ohF6Eiph', '31776', 'key-Dee4aexo', 'smtp-Ye6eiKoo',
        'grant-Aiph3ohn', 'udp-eiX5ahBu', 'not-Wei8aeSh', 'line-Vooh8Iek', 'line-Gah6ohng', 'ooNg3xoh', 'Zoo7ahch',
        'SSE_STREAM_URL, '];

    public function testTheListedValuesAreGivenAndNoOthers(): void
    {
        $server = $this->serveSite();

        $answer = $server->client->request(self::PATH);

        self::assertSame(200, $answer->status, $answer->summary());
        self::assertSame('application/json; charset=utf-8', $answer->headers['content-type']);
        self::assertSame(['no-store', 'nosniff'], [
            $answer->headers['cache-control'],
            $answer->headers['x-content-type-options'],
        ]);
        self::assertSame([
            'SSE_BASE' => 'https://shop.example/live',
            'SSE_STREAM_URL' => 'https://shop.example/live/stream.php',
            'SSE_PUBLISH_URL' => '/publish.php',
            'SSE_TITLE' => 'Grüße & "Preise" </script>',
            'SSE_TRICK' => 'left as ${DB_PASSWORD} and $DB_PASSWORD and ${SSE_GRANT_KEY} and ${PATH}',
            'SSE_LINE' => "one\ntwo",
        ], json_decode($answer->body, true, 4, JSON_THROW_ON_ERROR));
    }

    public function testNoOtherValueLeavesByItWhateverTheRequest(): void
    {
        // As badly set up as it can be.
        $server = $this->serveSite('php-s', ['display_errors' => 1, 'display_startup_errors' => 1, 'html_errors' => 1]);
        self::assertEverySecretIsKnown($server);

        $statuses = $this->sendAll($server);

        self::assertSame([200, 204, 403, 404, 405], $statuses);
    }

    public function testNoValueLeavesByItsErrors(): void
    {
        $server = $this->serveSite('php-s', ['display_errors' => 1, 'html_errors' => 1]);
        $file = "{$server->folder->path}/.apienv";
        $good = (string) file_get_contents($file);
        $broken = [
            "$good\nBROKEN=pw-Ahth3eiV smtp-Ye6eiKoo\n",
            "$good\nno-Wei8aeSh key-Dee4aexo\n",
            "$good\nBROKEN='udp-eiX5ahBu\\",
            "$good\nBROKEN=\"\\q udp-eiX5ahBu\"\n",
            str_replace('SSE_TITLE=', 'SSE TITLE=', $good),
        ];

        foreach ($broken as $text) {
            file_put_contents($file, $text);
            $answer = $server->client->request(self::PATH);
            self::assertSame(500, $answer->status, $answer->summary());
            self::assertTellsNothing($answer);
            $statuses = $this->sendAll($server);
            self::assertContains(500, $statuses);
            self::assertNotContains(200, $statuses);
        }
        // Not in the log either: the parser's own message would quote it.
        foreach (self::SECRETS as $secret) {
            self::assertStringNotContainsString($secret, $server->phpLog());
        }
        unlink($file);
        self::assertSame(500, $server->client->request(self::PATH)->status);
        $server->awaitLog('is not there, or can\'t be read by PHP');
    }

    public function testWithoutAListNothingIsGiven(): void
    {
        $server = $this->serveSite();
        foreach (['', 'SSE_PUBLIC=', 'SSE_PUBLIC', 'SSE_PUBLIC="*"', 'SSE_PUBLIC=SSE_PUBLIC,SSE_UDP_KEY'] as $list) {
            $text = (string) file_get_contents(__DIR__ . '/site/apienv');
            $text = preg_replace('/^SSE_PUBLIC=.*$/m', $list, $text);
            file_put_contents("{$server->folder->path}/.apienv", $text);

            $answer = $server->client->request(self::PATH);

            self::assertSame([200, '{}'], [$answer->status, $answer->body], $list);
        }
    }

    public function testAFileInTheDocumentRootIsRefused(): void
    {
        $server = $this->serveSite();
        rename("{$server->folder->path}/.apienv", "{$server->folder->path}/app/.apienv");
        symlink("{$server->folder->path}/app/.apienv", "{$server->folder->path}/.apienv");

        $answer = $server->client->request(self::PATH);

        self::assertSame(500, $answer->status);
        self::assertTellsNothing($answer);
        $server->awaitLog('is inside the document root');
    }

    /**
     * Sends what an attacker may try; no answer may have a secret.
     *
     * @return list<int> the statuses that were seen
     */
    private function sendAll(Server $server): array
    {
        $names = ['DB_PASSWORD', 'SSE_GRANT_KEY', 'SSE_PUBLIC', '*', '../.apienv', '${DB_PASSWORD}', "\0", '%00', '[]'];
        $requests = [];
        foreach (
            ['key', 'keys', 'keys[]', 'public', 'SSE_PUBLIC', 'SSE_PUBLIC[]', 'file', 'env', 'debug', 'topics', 'grant',
            'callback', 'format', '_SERVER[SSE_SITE]', 'GLOBALS[_SERVER]'] as $parameter
        ) {
            foreach ($names as $name) {
                $requests[] = ['GET', self::PATH . '?' . rawurlencode($parameter) . '=' . rawurlencode($name), [], ''];
            }
        }
        foreach (['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'X'] as $method) {
            foreach ($names as $name) {
                $requests[] = [$method, self::PATH, [], $method === 'GET' || $method === 'HEAD' ? '' : "SSE_PUBLIC=$name"];
            }
        }
        foreach (
            ['Cookie' => 'SSE_PUBLIC=DB_PASSWORD', 'SSE-Public' => 'DB_PASSWORD', 'X-SSE-Site' => '/etc/passwd',
            'SSE-Site' => '/etc/passwd', 'DB-Password' => 'x', 'Origin' => 'https://app.example', 'Host' => '${DB_PASSWORD}',
            'Accept' => 'text/html', 'Accept-Language' => '${DB_PASSWORD}', 'Authorization' => 'Bearer x.y',
            'Content-Type' => 'application/json', 'Proxy' => 'http://evil', 'X-Forwarded-Host' => '${DB_PASSWORD}',
            'Range' => 'bytes=0-99999', 'X-HTTP-Method-Override' => 'TRACE', 'X-User' => 'root'] as $header => $value
        ) {
            $requests[] = ['GET', self::PATH, [$header => $value], ''];
            $requests[] = ['OPTIONS', self::PATH, [$header => $value], ''];
        }
        foreach (['/../.apienv', '/.apienv', '/..', '/%2e%2e/%2e%2e/.apienv', '/x.json', '.bak', '~', '/'] as $end) {
            $requests[] = ['GET', self::PATH . $end, [], ''];
        }
        foreach (['/sse/stream.php', '/sse/publish.php', '/sse/autoload.php', '/.apienv', '/../.apienv', '/sse/.apienv'] as $path) {
            $requests[] = ['GET', "$path?topics=" . rawurlencode('${DB_PASSWORD}'), [], ''];
            $requests[] = ['POST', $path, ['Content-Type' => 'application/json'], '{"topic":"${DB_PASSWORD}","data":{"text":"x"}}'];
        }
        $statuses = [];
        foreach ($requests as [$method, $path, $headers, $body]) {
            $answer = $server->client->request($path, $headers, $method, $body);
            self::assertNotNull($answer->head, "$method $path is answered");
            self::assertTellsNothing($answer, "$method $path " . json_encode($headers));
            if (str_starts_with($path, self::PATH)) {
                $statuses[$answer->status] = true;
            }
        }
        ksort($statuses);

        return array_values(array_diff(array_keys($statuses), [501]));
    }

    private static function assertTellsNothing(Response $answer, string $what = ''): void
    {
        $all = "$answer->head\n$answer->body\n" . rawurldecode($answer->body) . html_entity_decode($answer->body)
            . json_encode(json_decode($answer->body), JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE)
            . base64_decode($answer->body);
        foreach (self::SECRETS as $secret) {
            self::assertStringNotContainsString($secret, $all, $what);
        }
    }

    /** The list above has every value of the file that is not public. */
    private static function assertEverySecretIsKnown(Server $server): void
    {
        require_once 'Dotenv/autoload.php';
        $values = \Dotenv\Dotenv::parse((string) file_get_contents("{$server->folder->path}/.apienv"));
        $public = json_decode($server->client->request(self::PATH)->body, true, 4, JSON_THROW_ON_ERROR);
        $others = array_diff_key($values, $public);
        self::assertCount(13, $others);
        foreach ($others as $name => $value) {
            $known = array_filter(self::SECRETS, static fn (string $secret): bool => str_contains($value, $secret));
            self::assertNotSame([], $known, "$name is searched for");
        }
    }
}
