<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;

/** A test with a site that has mounted mercure.php. */
abstract class MercureTestCase extends EndpointTestCase
{
    protected const PATH = '/sse/mercure.php';
    /** The placeholder in Mercure's own documentation and tests. */
    protected const SECRET = '!ChangeThisMercureHubJWTSecretKey!';

    /**
     * @param array<string, string|int> $options
     * @param array<string, string|int> $ini
     * @param string                    $arguments More arguments of the endpoint, as PHP.
     */
    protected function serveMercure(
        string $name = 'php-s',
        bool $anonymous = true,
        array $options = [],
        array $ini = [],
        string $arguments = '',
    ): Server {
        $server = $this->serveSite($name, $ini + ['sse.history_events' => 100], $options);
        $server->folder->file('sse-mercure.php', '<?php return new Sse\Mercure\Endpoint(new Sse\Mercure\Key('
            . var_export(self::SECRET, true) . '), anonymous: ' . var_export($anonymous, true)
            . ', publishOrigins: ["https://editor.example"], corsOrigins: ["https://reader.example"]'
            . ($arguments === '' ? '' : ", $arguments") . ');');

        if (str_starts_with($name, 'nginx')) {
            // What nginx would be told by fastcgi_param.
            $loader = "{$server->folder->path}/app/vendor/autoload.php";
            $setting = '$_SERVER["SSE_MERCURE"] = dirname(__DIR__, 2) . "/sse-mercure.php";';
            file_put_contents($loader, "\n$setting\n", FILE_APPEND);
        }

        return $server;
    }

    protected static function url(string ...$selectors): string
    {
        return self::PATH . '?topic=' . implode('&topic=', array_map(rawurlencode(...), $selectors));
    }

    /** @param array<string, string> $fields */
    protected static function publish(Server $server, array $fields): Response
    {
        $headers = self::bearer(['publish' => ['*']]);
        $answer = $server->client->request(self::PATH, $headers, 'POST', http_build_query($fields));
        self::assertSame(200, $answer->status, $answer->summary());

        return $answer;
    }

    /** @param list<string> $ids */
    protected function assertIds(Server $server, Stream $stream, array $ids, string $what = ''): void
    {
        $server->client->awaitEvents($stream, count($ids));
        $got = array_map(static fn (Event $event): string => (string) $event->id, $stream->parser->events);
        self::assertSame($ids, $got, $what);
    }

    /**
     * @param array<string, mixed> $mercure
     * @param array<string, mixed> $more
     */
    protected static function token(array $mercure, array $more = [], string $secret = self::SECRET): string
    {
        return Signer::ofSecret($secret)->token(['mercure' => $mercure] + $more, ['typ' => 'JWT']);
    }

    /**
     * @param array<string, mixed> $mercure
     * @param array<string, mixed> $more
     * @return array<string, string>
     */
    protected static function bearer(array $mercure, array $more = []): array
    {
        return ['Authorization' => 'Bearer ' . self::token($mercure, $more)];
    }
}
