<?php

declare(strict_types=1);

return ['providers' => ['users' => ['driver' => 'eloquent', 'model' => App\Models\User::class]]]
    + require dirname(__DIR__, 2) . '/laravel/config/auth.php';
