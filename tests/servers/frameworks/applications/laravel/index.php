<?php

declare(strict_types=1);

// A Laravel application as a new one is: kernel, middlewares, login, sessions and a database. Its model and the route of
// the stream are those of docs/guide/recipes/laravel.md, which the test puts into app/Models/ and routes/.

use App\LaravelSite;
use App\Models\Order;
use Illuminate\Contracts\Http\Kernel as HttpKernel;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\Facades\Schema;

require 'Illuminate/autoload.php';
require dirname(__DIR__) . '/autoload.php';
require dirname(__DIR__) . '/LaravelSite.php';
require __DIR__ . '/app/Models/Order.php';

$app = LaravelSite::in(__DIR__);
$storage = $app->storagePath();
$app->booted(static function () use ($storage): void {
    Route::middleware('web')->group(__DIR__ . '/routes/web.php');
    Route::name('login')->get('/login', static fn (): string => 'who are you?');
    Route::middleware('web')->group(static function (): void {
        Route::get('/login/{id}', static fn (int $id) => Auth::loginUsingId($id) ? 'logged in' : abort(403));
        Route::get('/logout', static function (): string {
            Auth::logout();

            return 'logged out';
        });
    });
    Route::get('/install', static function () use ($storage): string {
        touch("$storage/orders.db");
        Schema::create('users', static function (Blueprint $table): void {
            $table->id();
            $table->rememberToken();
        });
        Schema::create('orders', static function (Blueprint $table): void {
            $table->id();
            $table->foreignId('user_id');
            $table->string('title');
        });
        DB::table('users')->insert([['id' => 1], ['id' => 2]]);

        return 'installed';
    });
    Route::post('/orders', static function (Request $request): string {
        DB::transaction(static function () use ($request): void {
            Order::create($request->only('user_id', 'title'));
            abort_if($request->boolean('fail'), 409);
        });

        return 'placed';
    });
});

$kernel = $app->make(HttpKernel::class);
$request = Request::capture();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
error_log('laravel: the application has finished');
