<?php

declare(strict_types=1);

// usage: LARAVEL=/path/to/vendor/autoload.php php bench/reverb/run.php [connections] [events]
// Measures Laravel Reverb and php-sse side by side, one after the other, with the Laravel application of the tests: what a
// connection takes, and what a delivery costs the server, both behind the same nginx. LARAVEL names the autoloader of an application
// that has laravel/framework and laravel/reverb. Prints a table. Only what a process has used of the processor is measured, and no
// time that passes, so another program on the machine changes little. select(), with which the clients and Reverb wait, has room for
// 1,000.

use PhpSse\Bench\Reverb\Connections;
use PhpSse\Bench\Reverb\Contender;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Support\Proc;

require dirname(__DIR__, 2) . '/tests/servers/bootstrap.php';
require __DIR__ . '/Connections.php';
require __DIR__ . '/Contender.php';

$laravel = getenv('LARAVEL') ?: exit("LARAVEL=/path/to/vendor/autoload.php php bench/reverb/run.php\n");
$connections = (int) ($argv[1] ?? 900);
$events = (int) ($argv[2] ?? 100);
ini_set('memory_limit', '-1');
if (!isset($argv[3])) {
    printf("%d connections, %d events, PHP %s\n\n", $connections, $events, PHP_VERSION);
    echo '| | process | KiB a connection | CPU of 1,000 idle connections, ms a minute | CPU a delivery, µs | ',
        "CPU of the publisher, ms an event |\n";
    echo "|---|---|---|---|---|---|\n";
    // Each with an nginx of its own, which has not held the other one's connections.
    foreach (['php-sse', 'Reverb'] as $name) {
        passthru(implode(' ', array_map(escapeshellarg(...), [PHP_BINARY, __FILE__, $connections, $events, $name])), $code);
        $code === 0 || exit($code);
    }
    exit;
}

$modules = 'mbstring,tokenizer,pdo,pdo_sqlite,posix,intl,ctype,curl,sockets,fileinfo,dom,xml';
$port = Port::free();
$options = ['modules' => $modules, 'streams' => 2 * $connections, 'locations' => <<<CONF
    location /app/ {
        proxy_pass http://127.0.0.1:$port;
        proxy_http_version 1.1;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection Upgrade;
        proxy_read_timeout 600;
    }
    CONF];
$server = Catalogue::make('nginx-fpm-unix', ['sse.max_streams_per_ip' => 0], $options);
$reverb = null;
register_shutdown_function(static function () use ($server, &$reverb): void {
    $reverb?->stop();
    $server->stop();
    $server->folder->remove();
});
$server->start();
$app = 'app/frameworks/broadcasting';
$server->folder->copy(dirname(__DIR__, 2) . '/tests/servers/frameworks/applications', 'app/frameworks');
$server->folder->copy(dirname(__DIR__, 2) . '/php/src', 'library');
$folder = $server->folder->path;
$server->folder->file("$app/autoload.php", sprintf("<?php\n\nrequire %s;\n", var_export($laravel, true)));
$server->folder->file("$app/publish.php", (string) file_get_contents(__DIR__ . '/publish.php'));
// Reverb's own defaults, and no limit that holds for one client's address.
$server->folder->file("$app/config/sse.php", "<?php\n\nreturn ['stream_middleware' => []];\n");
$server->folder->file("$app/config/broadcasting.php", <<<PHP
    <?php

    return ['default' => env('BROADCAST_CONNECTION', 'sse'), 'connections' => ['reverb' => [
        'driver' => 'reverb', 'key' => 'key', 'secret' => 'secret', 'app_id' => 'bench',
        'options' => ['host' => '127.0.0.1', 'port' => $port, 'scheme' => 'http', 'useTLS' => false],
    ]]];
    PHP);
$providers = implode(",\n        ", array_map(static fn (string $class): string => "$class::class", [
    'Illuminate\Translation\TranslationServiceProvider', 'Illuminate\Validation\ValidationServiceProvider',
    'Laravel\Reverb\ApplicationManagerServiceProvider', 'Laravel\Reverb\ReverbServiceProvider',
]));
$code = (string) file_get_contents("$folder/$app/config/app.php");
$server->folder->file("$app/config/app.php", str_replace("    ],\n] + \$app;", "        $providers,\n    ],\n] + \$app;", $code));
$environment = [
    'PHP_INI_SCAN_DIR' => "$folder/none", 'HOME' => $folder, 'REVERB_APP_ID' => 'bench', 'REVERB_APP_KEY' => 'key',
    'REVERB_APP_SECRET' => 'secret',
];
$user = Php::workerUser();
$as = posix_geteuid() === 0 ? ['setpriv', '--reuid', $user, '--regid', $user, '--clear-groups', '--'] : [];
$artisan = static fn (array $arguments, array $more = []): Process => new Process(
    [...$as, Php::cli(), '-c', "$folder/php.ini", ...$arguments],
    "$folder/log/" . basename($arguments[0]) . '-' . ($more['BROADCAST_CONNECTION'] ?? '') . '.out',
    $environment + $more,
    "$folder/$app",
);
$installed = $server->client->request('/frameworks/broadcasting/index.php/install')->body;
$installed === 'installed' || exit("the application can't be installed: $installed\n");
$server->client->openOne('/frameworks/broadcasting/index.php/sse/stream?channels[]=else');
$master = (int) file_get_contents("$folder/nginx.pid");
$nginx = [$master, ...Proc::children($master)];

$publish = static function (string $by) use ($artisan, $events): float {
    $process = $artisan(['publish.php', (string) $events], ['BROADCAST_CONNECTION' => $by]);
    $process->awaitExit(600.0) === 0 || exit($process->output() . "\n");

    return (float) $process->output();
};
if ($argv[3] === 'php-sse') {
    $open = static fn (): Connections => Connections::streams(
        $server->url() . '/frameworks/broadcasting/index.php/sse/stream?channels[]=news',
        $connections,
    );
    $contender = new Contender('php-sse', ['hub' => [$server->hub()], 'nginx' => $nginx], $open, static fn (): float => $publish('sse'));
    $contender->measure($connections, $events);
    exit;
}
$reverb = $artisan(['artisan.php', 'reverb:start', '--host=127.0.0.1', "--port=$port"]);
while (@stream_socket_client("tcp://127.0.0.1:$port") === false) {
    $reverb->isRunning() || exit("Reverb can't be started: {$reverb->output()}\n");
    usleep(50_000);
}
$open = static fn (): Connections => Connections::sockets(substr($server->url(), strlen('http://')), '/app/key?protocol=7', $connections);
$processes = ['reverb' => [$reverb->pid, ...Proc::children($reverb->pid)], 'nginx' => $nginx];
$contender = new Contender('Reverb', $processes, $open, static fn (): float => $publish('reverb'));
$contender->measure($connections, $events);
