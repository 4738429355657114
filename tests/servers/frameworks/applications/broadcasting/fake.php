<?php

declare(strict_types=1);

// What an application's tests do with BroadcastFake. Prints which assertions fail.

use App\Events\OrderPaid;
use App\Events\Said;
use App\Models\User;
use Illuminate\Contracts\Console\Kernel;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\Queue;
use Sse\Laravel\Testing\BroadcastFake;

$app = require __DIR__ . '/boot.php';
$app->make(Kernel::class)->bootstrap();
config(['broadcasting.default' => 'null', 'queue.default' => 'sync']);
Broadcast::connection('sse');
$broadcasts = BroadcastFake::of($app);
$failed = [];
$try = static function (string $what, callable $assert) use (&$failed): void {
    try {
        $assert();
    } catch (AssertionError $error) {
        $failed[$what] = $error->getMessage();
    }
};

$try('nothing at first', static fn () => $broadcasts->assertNothingBroadcast());
event(new OrderPaid(1, 'tea'));
$socket = str_repeat('a', 22) . '.0123456789abcdef';
request()->headers->set('X-Socket-ID', $socket);
broadcast(new Said(['news', 'private-App.User.1'], 'to all'))->toOthers();
User::find(1)->notifyNow(new App\Events\Invoice());

$try('name', static fn () => $broadcasts->assertBroadcast('private-App.User.1', 'order.paid'));
$isTea = static fn (array $data): bool => ($data['title'] ?? '') === 'tea';
$try('data', static fn () => $broadcasts->assertBroadcast('private-App.User.1', 'order.paid', $isTea));
$try('others', static fn () => $broadcasts->assertBroadcastToOthers('news', Said::class, $socket));
$try('count', static fn () => $broadcasts->assertBroadcastCount(3, 'private-App.User.1'));
$try('none', static fn () => $broadcasts->assertNothingBroadcast('private-App.User.2'));
$try('wrong sender', static fn () => $broadcasts->assertBroadcastToOthers('news', Said::class, str_repeat('a', 22)));
$try('wrong name', static fn () => $broadcasts->assertBroadcast('news', 'order.paid'));
$try('wrong data', static fn () => $broadcasts->assertBroadcast('news', Said::class, $isTea));
$try('wrong count', static fn () => $broadcasts->assertBroadcastCount(2, 'news'));
$try('something', static fn () => $broadcasts->assertNothingBroadcast('news'));

$types = array_column($broadcasts->on('private-App.User.1'), 'type');
echo json_encode(['failed' => array_keys($failed), 'types' => $types], JSON_THROW_ON_ERROR);
